/* CRC-32C (Castagnoli), the checksum of stored records. No state: any thread. Source: RFC 3720,
 * section 12.1. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of these bytes. */
uint32_t crc32c(const void *data, size_t size);

#endif
