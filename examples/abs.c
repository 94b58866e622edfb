/* SCOOP's first program: absolute values of 1000 random numbers, serially and on all workers. */
#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT 1000

SCOOP_FUNCTION(int, absolute, int x)
{
    return x < 0 ? -x : x;
}

int main(int argc, char **argv)
{
    static int data[COUNT];
    static int serial[COUNT];
    static int parallel[COUNT];

    scoop_init(&argc, &argv);
    srandom((unsigned)time(NULL));
    for (int i = 0; i < COUNT; i++) {
        data[i] = (int)(random() % 2001) - 1000;
        serial[i] = absolute(data[i]);
    }
    if (scoop_map(absolute, data, parallel, COUNT) != SCOOP_OK)
        return scoop_report();
    const bool equal = memcmp(serial, parallel, sizeof(serial)) == 0;
    printf("dataSerial and dataParallel are %s\n", equal ? "equal" : "different");
    return equal ? 0 : 1;
}
