#include "identity.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int hash_descriptor(EVP_MD_CTX *context, int fd, uint8_t *sha256)
{
    uint8_t buffer[64 << 10];
    ssize_t got;

    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        return -EIO;
    while ((got = read(fd, buffer, sizeof(buffer))) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (EVP_DigestUpdate(context, buffer, (size_t)got) != 1)
            return -EIO;
    }
    return EVP_DigestFinal_ex(context, sha256, NULL) == 1 ? 0 : -EIO;
}

static int hash_file(const char *path, uint8_t *sha256)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const int error = context != NULL ? hash_descriptor(context, fd, sha256) : -ENOMEM;
    EVP_MD_CTX_free(context);
    close(fd);
    return error;
}

static void set_name(struct identity *identity, const char *path)
{
    const char *slash = strrchr(path, '/');

    snprintf(identity->name, sizeof(identity->name), "%s", slash != NULL ? slash + 1 : path);
}

int identity_read(const char *path, struct identity *out)
{
    struct identity identity;
    const int error = hash_file(path, identity.sha256);

    if (error != 0)
        return error;
    set_name(&identity, path);
    *out = identity;
    return 0;
}

int identity_self(struct identity *out)
{
    char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length < 0)
        return -errno;
    path[length] = '\0';
    /* The link itself is read: it holds the right bytes even when the file was replaced meanwhile.
     */
    struct identity identity;
    const int error = hash_file("/proc/self/exe", identity.sha256);
    if (error != 0)
        return error;
    set_name(&identity, path);
    *out = identity;
    return 0;
}

const char *identity_short(const uint8_t sha256[WIRE_SHA256_BYTES], char *buffer)
{
    for (size_t i = 0; i < 6; i++)
        snprintf(buffer + 2 * i, 3, "%02x", sha256[i]);
    return buffer;
}
