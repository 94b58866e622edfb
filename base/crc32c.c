/* Eight bytes a step, by eight tables ("slicing by 8"): table[k] is the remainder of a byte that k
 * zero bytes follow. */
#include "crc32c.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

/* The polynomial, its lowest power in the highest bit. */
#define POLYNOMIAL 0x82f63b78U
#define SLICES     8

static uint32_t tables[SLICES][256];
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t remainder = byte;

        for (int bit = 0; bit < 8; bit++)
            remainder = remainder >> 1 ^ ((remainder & 1) != 0 ? POLYNOMIAL : 0);
        tables[0][byte] = remainder;
    }
    for (int slice = 1; slice < SLICES; slice++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            const uint32_t shorter = tables[slice - 1][byte];

            tables[slice][byte] = shorter >> 8 ^ tables[0][shorter & 0xff];
        }
    }
}

static uint32_t step_of_eight(uint32_t crc, const uint8_t *at)
{
    uint64_t word;
    uint32_t next = 0;

    memcpy(&word, at, sizeof(word));
    word = le64toh(word) ^ crc;
    for (int i = 0; i < SLICES; i++)
        next ^= tables[SLICES - 1 - i][word >> (8 * i) & 0xff];
    return next;
}

uint32_t crc32c(const void *data, size_t size)
{
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;

    pthread_once(&made, make_tables);
    for (; size >= SLICES; at += SLICES, size -= SLICES)
        crc = step_of_eight(crc, at);
    for (; size > 0; at++, size--)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xff];
    return ~crc;
}
