/* The leaves of a binary tree: `tree [DEPTH]`. Each task submits two tasks of the next depth and waits for
 * them; a task that waits takes no slot, so that a single slot is enough for any depth. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

SCOOP_FUNCTION(uint32_t, tree, uint32_t depth)
{
    uint32_t left = 0;
    uint32_t right = 0;

    if (depth == 0)
        return 1;
    scoop_future *a = scoop_submit(tree, depth - 1);
    scoop_future *b = scoop_submit(tree, depth - 1);
    if (a == NULL || b == NULL || scoop_result(a, &left) != SCOOP_OK ||
        scoop_result(b, &right) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    scoop_future_free(a);
    scoop_future_free(b);
    return left + right;
}

int main(int argc, char **argv)
{
    uint32_t leaves = 0;

    scoop_init(&argc, &argv);
    scoop_future *root = scoop_submit(tree, only_number(argc, argv, 12, 0, 24));
    if (root == NULL || scoop_result(root, &leaves) != SCOOP_OK)
        return scoop_report();
    scoop_future_free(root);
    printf("%u\n", leaves);
    return 0;
}
