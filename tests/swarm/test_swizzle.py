"""All workers die at once."""

import os

import pytest

from load import Stream
from swarm import figure

pytestmark = pytest.mark.long


@pytest.fixture
def stream(stack):
    flow = Stream(stack)
    yield flow
    flow.give_up()


@pytest.mark.fault("A08")
def test_work_goes_on_with_the_first_worker_that_is_back_when_all_were_killed(stack, stream):
    moments = [stack.kill_container(service, node)[0]
               for service, node in (("worker", "w1"), ("worker", "w2"), ("root_worker", "m"))]
    took = stream.resumed_after(moments[0], settled_s=12)
    stream.end()
    figure("all workers killed, first new result", [took])
