#include "controller/http/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"

enum { BACKLOG = 512 };

static void free_addresses(struct addrinfo **list)
{
    if (*list != NULL)
        freeaddrinfo(*list);
    *list = NULL;
}

/* Split HOST:PORT at the last colon; brackets around an IPv6 address go away. */
static int split(const char *address, char ret_host[64], char ret_port[8], struct pen_error *err)
{
    const char *colon = strrchr(address, ':');
    size_t host_size = colon == NULL ? 0 : (size_t)(colon - address);
    const char *host = address;
    if (host_size >= 2 && host[0] == '[' && host[host_size - 1] == ']') {
        host++;
        host_size -= 2;
    }
    if (host_size == 0 || host_size >= 64 || !pen_str_copy(ret_port, 8, colon + 1))
        return pen_fail(err, PEN_EINVAL, "'%s' is not ADDRESS:PORT", address);
    memcpy(ret_host, host, host_size);
    ret_host[host_size] = '\0';
    return 0;
}

static int put_endpoint(int fd, struct pen_buf *ret_endpoint, struct pen_error *err)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[64];
    char port[8];
    if (getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
        return pen_fail_errno(err, "address of the HTTP socket");
    if (getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return pen_fail(err, PEN_EIO, "the HTTP socket has no printable address");
    bool is_ipv6 = bound.ss_family == AF_INET6;
    pen_buf_printf(ret_endpoint, "http://%s%s%s:%s", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "",
                   port);
    return pen_buf_ok(ret_endpoint, err);
}

int pen_listener_open(const char *address, int *ret_fd, struct pen_buf *ret_endpoint,
                      struct pen_error *err)
{
    char host[64];
    char port[8];
    int rc = split(address, host, port, err);
    if (rc < 0)
        return rc;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    PEN_CLEANUP(free_addresses) struct addrinfo *list = NULL;
    int code = getaddrinfo(host, port, &hints, &list);
    if (code != 0)
        return pen_fail(err, PEN_EINVAL,
                        "HTTP address '%s': %s; it is given in numbers, as 127.0.0.1:7480", address,
                        gai_strerror(code));
    PEN_CLEANUP(pen_fd_close)
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return pen_fail_errno(err, "HTTP address '%s'", address);
    if ((rc = put_endpoint(fd, ret_endpoint, err)) < 0)
        return rc;
    *ret_fd = fd;
    fd = -1;
    return 0;
}
