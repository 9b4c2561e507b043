#include "common/io/random.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

int pen_random_bytes(void *ret_bytes, size_t size, struct pen_error *err)
{
    uint8_t *at = ret_bytes;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pen_fail_errno(err, "no random bytes from the kernel");
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

int pen_random_uuid(char ret_text[37], struct pen_error *err)
{
    uint8_t b[16];
    int rc = pen_random_bytes(b, sizeof b, err);
    if (rc < 0)
        return rc;
    b[6] = (uint8_t)((b[6] & 0x0F) | 0x40); /* version 4 */
    b[8] = (uint8_t)((b[8] & 0x3F) | 0x80); /* the usual variant */
    (void)snprintf(ret_text, 37,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
    return 0;
}
