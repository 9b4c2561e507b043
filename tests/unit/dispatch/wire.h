/* tests/unit/dispatch/wire.h - a wire between a peer and the controller, which a test can stop or
 * cut
 */
#ifndef PEN_TESTS_UNIT_DISPATCH_WIRE_H
#define PEN_TESTS_UNIT_DISPATCH_WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/dispatch/dealer.h"

struct wire {
    int listener;
    int peer;
    int server;
    char endpoint[64];
};

static inline void wire_open(struct wire *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(self->listener, (struct sockaddr *)&address, sizeof address), errno);
    assert_return_code(listen(self->listener, 1), errno);
    assert_return_code(getsockname(self->listener, (struct sockaddr *)&address, &size), errno);
    (void)snprintf(self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:%u",
                   ntohs(address.sin_port));
}

static inline void wire_connect(struct wire *self, const char *endpoint)
{
    const char *port = strrchr(endpoint, ':') + 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    self->peer = accept(self->listener, NULL, NULL);
    assert_true(self->peer >= 0);
    self->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(connect(self->server, (struct sockaddr *)&address, sizeof address), errno);
}

/* Carry bytes both ways until bytes_max have gone to the server, then only from it. Returns when
 * the server has closed the connection: how many bytes went to it. */
static inline size_t wire_carry(struct wire *self, size_t bytes_max)
{
    char bytes[65536];
    size_t carried = 0;
    for (;;) {
        struct pollfd items[] = {
            {.fd = self->server, .events = POLLIN},
            {.fd = carried < bytes_max ? self->peer : -1, .events = POLLIN},
        };
        assert_true(poll(items, 2, PATIENCE_MS) > 0);
        if (items[0].revents != 0) {
            ssize_t size = recv(self->server, bytes, sizeof bytes, 0);
            if (size <= 0)
                return carried;
            assert_int_equal(send(self->peer, bytes, (size_t)size, MSG_NOSIGNAL), size);
        }
        if (items[1].revents != 0) {
            ssize_t size = recv(self->peer, bytes, sizeof bytes, 0);
            assert_true(size > 0);
            if (send(self->server, bytes, (size_t)size, MSG_NOSIGNAL) != size)
                return carried;
            carried += (size_t)size;
        }
    }
}

static inline void wire_close(struct wire *self)
{
    close(self->listener);
    close(self->peer);
    close(self->server);
}

#endif
