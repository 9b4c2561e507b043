/* The starter: one clone for each order. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/shim/shim.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

struct starter {
    int socket_fd;
    enum pen_shim_isolation isolation;
    bool user_namespace;
    sigset_t old_mask;
};

static unsigned long clone_flags(enum pen_shim_isolation isolation, bool user_namespace)
{
    unsigned long flags = SIGCHLD;
    if (isolation >= PEN_ISOLATION_PID)
        flags |= CLONE_NEWPID | (user_namespace ? CLONE_NEWUSER : 0u);
    if (isolation >= PEN_ISOLATION_FULL)
        flags |= CLONE_NEWNS | CLONE_NEWIPC;
    return flags;
}

/* fork(2) with flags; safe because this process has one thread. */
static pid_t clone_process(unsigned long flags, int *ret_pidfd)
{
    int pidfd = -1;
    long pid = syscall(SYS_clone, flags | (ret_pidfd == NULL ? 0u : (unsigned long)CLONE_PIDFD),
                       NULL, &pidfd, NULL, NULL);
    if (pid > 0 && ret_pidfd != NULL)
        *ret_pidfd = pidfd;
    return (pid_t)pid;
}

static int write_text(const char *path, const char *text)
{
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    int rc = pen_file_open(path, O_WRONLY, 0, &fd, NULL);
    return rc < 0 ? rc : pen_file_write_all(fd, text, strlen(text), NULL);
}

/* Be the same user inside the new user namespace. */
static int map_self(uid_t uid, gid_t gid)
{
    char uid_map[64];
    char gid_map[64];
    (void)snprintf(uid_map, sizeof uid_map, "%u %u 1", (unsigned)uid, (unsigned)uid);
    (void)snprintf(gid_map, sizeof gid_map, "%u %u 1", (unsigned)gid, (unsigned)gid);
    int rc = write_text("/proc/self/setgroups", "deny");
    if (rc == 0)
        rc = write_text("/proc/self/uid_map", uid_map);
    return rc == 0 ? write_text("/proc/self/gid_map", gid_map) : rc;
}

/* In the new process: finish its namespaces. Mounts of the host go on to arrive here; ours stay. */
static int enter(enum pen_shim_isolation isolation, bool user_namespace, uid_t uid, gid_t gid)
{
    if (isolation >= PEN_ISOLATION_PID && user_namespace && map_self(uid, gid) < 0)
        return -1;
    if (isolation < PEN_ISOLATION_FULL)
        return 0;
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return -1;
    return 0;
}

static int enter_proc(enum pen_shim_isolation isolation)
{
    if (isolation < PEN_ISOLATION_FULL)
        return 0;
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* Whether a process can be made with this isolation here. */
static bool probe(enum pen_shim_isolation isolation, bool user_namespace)
{
    uid_t uid = getuid();
    gid_t gid = getgid();
    pid_t pid = clone_process(clone_flags(isolation, user_namespace), NULL);
    if (pid == 0)
        _exit(enter(isolation, user_namespace, uid, gid) < 0 || enter_proc(isolation) < 0 ? 1 : 0);
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void find_isolation(struct starter *self)
{
    for (int isolation = PEN_ISOLATION_FULL; isolation > PEN_ISOLATION_NONE; isolation--)
        for (int user = 0; user <= 1; user++)
            if (probe((enum pen_shim_isolation)isolation, user == 1)) {
                self->isolation = (enum pen_shim_isolation)isolation;
                self->user_namespace = user == 1;
                return;
            }
}

static int send_reply(const struct starter *self, uint64_t fence, pid_t pid, int error_number,
                      int pidfd)
{
    struct pen_starter_reply reply = {
        .fence = fence,
        .pid = pid,
        .error_number = error_number,
        .isolation = (int32_t)self->isolation,
        .user_namespace = self->user_namespace,
    };
    struct iovec part = {.iov_base = &reply, .iov_len = sizeof reply};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (pidfd >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &pidfd, sizeof pidfd);
    }
    ssize_t sent;
    do {
        sent = sendmsg(self->socket_fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof reply ? 0 : -1;
}

static int read_all(int fd, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    while (size > 0) {
        ssize_t got = read(fd, at, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

/* The new process lets go of all that ties it to the agent, then becomes the shim. It stays in the
 * starter's session, which is not the agent's and has no terminal. */
_Noreturn static void become_shim(struct starter *self, const uint8_t *bytes, size_t size,
                                  uid_t uid, gid_t gid)
{
    (void)close(self->socket_fd);
    /* The commands begin with 0 from here: it must stay open when they are started, and is what
     * open gives, since the socket was there. */
    int null_fd = open("/dev/null", O_RDWR);
    if (null_fd < 0)
        _exit(1);
    for (int fd = 0; fd <= 2; fd++)
        if (fd != null_fd && dup2(null_fd, fd) < 0)
            _exit(1);
    if (null_fd > 2)
        (void)close(null_fd);
    (void)signal(SIGCHLD, SIG_DFL);
    if (enter(self->isolation, self->user_namespace, uid, gid) < 0)
        _exit(1);
    ProtobufCMessage *order = NULL;
    if (pen_wire_unpack(&pen__shim_order__descriptor, bytes, size, &pen_wire_stored, &order, NULL) <
        0)
        _exit(1);
    pen_shim_run((const Pen__ShimOrder *)order, self->isolation);
}

static int serve_one(struct starter *self)
{
    uint32_t size = 0;
    if (read_all(self->socket_fd, &size, sizeof size) < 0 || size < sizeof(uint64_t) ||
        size > PEN_SHIM_ORDER_MAX)
        return -1;
    PEN_CLEANUP(pen_free) uint8_t *bytes = malloc(size);
    if (bytes == NULL || read_all(self->socket_fd, bytes, size) < 0)
        return -1;
    /* The fence stands before the order, so that a reply needs no unpacking here. */
    uint64_t fence = 0;
    memcpy(&fence, bytes, sizeof fence);
    uid_t uid = getuid();
    gid_t gid = getgid();
    PEN_CLEANUP(pen_fd_close) int pidfd = -1;
    pid_t pid = clone_process(clone_flags(self->isolation, self->user_namespace), &pidfd);
    if (pid == 0)
        become_shim(self, bytes + sizeof fence, size - sizeof fence, uid, gid);
    return send_reply(self, fence, pid > 0 ? pid : 0, pid > 0 ? 0 : errno, pidfd);
}

int pen_starter_run(int socket_fd)
{
    struct starter self = {.socket_fd = socket_fd};
    find_isolation(&self);
    /* Shims are reaped by the kernel; the agent watches them by pidfd. A shim finds SIGTERM blocked
     * from its first instant, so that no early kill is lost. */
    (void)signal(SIGCHLD, SIG_IGN);
    sigset_t blocked;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigaddset(&blocked, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &blocked, &self.old_mask);
    (void)prctl(PR_SET_NAME, "pen-starter");
    if (send_reply(&self, 0, 0, 0, -1) < 0)
        return 1;
    while (serve_one(&self) == 0)
        continue;
    return 0;
}
