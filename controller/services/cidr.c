#include "controller/services/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { V4_BITS = 32, V6_BITS = 128, V4_PREFIX_BITS = 96 };

static void map_v4(const void *v4, uint8_t ret_address[16])
{
    memset(ret_address, 0, 10);
    memset(ret_address + 10, 0xff, 2);
    memcpy(ret_address + 12, v4, 4);
}

int pen_cidr_parse(const char *text, struct pen_cidr *ret_cidr, struct pen_error *err)
{
    char address[INET6_ADDRSTRLEN];
    struct pen_cidr cidr;
    const char *slash = strchr(text, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - text);
    size_t digits = slash == NULL ? 0 : strspn(slash + 1, "0123456789");
    if (size == 0 || size >= sizeof address || digits == 0 || digits > 3 ||
        slash[1 + digits] != '\0' || (slash[1] == '0' && digits > 1))
        return pen_fail(err, PEN_EINVAL,
                        "'%.100s' is no range of addresses such as 192.0.2.0/24 or 2001:db8::/32",
                        text);
    memcpy(address, text, size);
    address[size] = '\0';
    unsigned bits = (unsigned)strtoul(slash + 1, NULL, 10);
    struct in_addr v4;
    if (inet_pton(AF_INET, address, &v4) == 1 && bits <= V4_BITS) {
        map_v4(&v4, cidr.address);
        cidr.bits = V4_PREFIX_BITS + bits;
    } else if (inet_pton(AF_INET6, address, cidr.address) == 1 && bits <= V6_BITS) {
        cidr.bits = bits;
    } else {
        return pen_fail(err, PEN_EINVAL, "'%.100s' is no address, or its prefix is too long", text);
    }
    *ret_cidr = cidr;
    return 0;
}

bool pen_cidr_contains(const struct pen_cidr *self, const struct sockaddr *peer)
{
    uint8_t address[16];
    if (peer == NULL)
        return false;
    if (peer->sa_family == AF_INET)
        map_v4(&((const struct sockaddr_in *)(const void *)peer)->sin_addr, address);
    else if (peer->sa_family == AF_INET6)
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
    else
        return false;
    unsigned whole = self->bits / 8;
    unsigned rest = self->bits % 8;
    if (memcmp(address, self->address, whole) != 0)
        return false;
    return rest == 0 || (address[whole] ^ self->address[whole]) >> (8 - rest) == 0;
}
