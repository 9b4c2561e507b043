#include "agent/link/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"

struct pen_resolve {
    int fd;
};

/* The thread's own: it frees it. */
struct question {
    int fd;
    char *host;
};

struct answer {
    int failure; /* of getaddrinfo(3); 0: none */
    struct pen_addresses addresses;
};

static bool add_address(struct pen_addresses *self, const struct sockaddr *address)
{
    const void *bytes = address->sa_family == AF_INET6
                            ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)address)->sin_addr;
    if (address->sa_family != AF_INET6 && address->sa_family != AF_INET)
        return true;
    if (self->count == PEN_ADDRESSES_MAX)
        return false;
    if (inet_ntop(address->sa_family, bytes, self->text[self->count], INET6_ADDRSTRLEN) != NULL)
        self->count++;
    return true;
}

static void ask(const char *host, struct answer *ret_answer)
{
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    ret_answer->failure = getaddrinfo(host, NULL, &wanted, &found);
    if (ret_answer->failure != 0)
        return;
    for (const struct addrinfo *each = found; each != NULL; each = each->ai_next)
        if (!add_address(&ret_answer->addresses, each->ai_addr))
            break;
    freeaddrinfo(found);
    if (ret_answer->addresses.count == 0)
        ret_answer->failure = EAI_NONAME;
}

static void *run(void *context)
{
    struct question *question = context;
    struct answer answer = {0};
    ask(question->host, &answer);
    (void)send(question->fd, &answer, sizeof answer, MSG_NOSIGNAL); /* or nobody wants it */
    (void)close(question->fd);
    free(question->host);
    free(question);
    return NULL;
}

/* With all signals blocked: they are the main thread's. */
static int start_thread(struct question *question)
{
    sigset_t all, before;
    pthread_attr_t detached;
    pthread_t thread;
    (void)sigfillset(&all);
    (void)pthread_attr_init(&detached);
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, &detached, run, question);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&detached);
    return rc;
}

int pen_resolve_start(const char *host, struct pen_resolve **ret_resolve, struct pen_error *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return pen_fail_errno(err, "cannot ask for the address of '%s'", host);
    struct pen_resolve *self = calloc(1, sizeof *self);
    struct question *question = calloc(1, sizeof *question);
    char *copy = strdup(host);
    if (self != NULL && question != NULL && copy != NULL) {
        *question = (struct question){.fd = fds[1], .host = copy};
        self->fd = fds[0];
        if (start_thread(question) == 0) {
            *ret_resolve = self;
            return 0;
        }
    }
    free(copy);
    free(question);
    free(self);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return pen_fail(err, PEN_ENOMEM, "no memory to ask for the address of '%s'", host);
}

void pen_resolve_destroy(struct pen_resolve **self_p)
{
    if (*self_p == NULL)
        return;
    pen_fd_close(&(*self_p)->fd);
    free(*self_p);
    *self_p = NULL;
}

int pen_resolve_fd(const struct pen_resolve *self)
{
    return self->fd;
}

int pen_resolve_take(struct pen_resolve *self, struct pen_addresses *ret_addresses,
                     struct pen_error *err)
{
    struct answer answer;
    if (recv(self->fd, &answer, sizeof answer, 0) != (ssize_t)sizeof answer)
        return pen_fail(err, PEN_ENOTFOUND, "its address was not found");
    if (answer.failure != 0)
        return pen_fail(err, PEN_ENOTFOUND, "%s", gai_strerror(answer.failure));
    *ret_addresses = answer.addresses;
    return 0;
}
