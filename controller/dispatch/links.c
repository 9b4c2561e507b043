#include "controller/dispatch/links.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/check.h"

enum {
    DESCRIPTORS_MAX = 1 << 20,
    FRAME_OVERHEAD = 128, /* a frame's ZMTP and CURVE wrapping, rounded up */
    DEAD_KEPT_MS = 5000,  /* stragglers of a closed connection come within this */
};

struct pen_connection {
    bool open;
    bool accepted_seen; /* its ACCEPTED event was read, so a DISCONNECTED event means it */
    uint64_t cookie;
    uint64_t received_bytes; /* by the kernel, at the last sweep */
    uint64_t delivered_bytes;
    struct pen_link *link; /* NULL until its first message */
};

/* The kernel's name of the socket behind a descriptor; 0 when there is none. */
static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
        return 0;
    return cookie;
}

static void shut(int fd, uint64_t cookie)
{
    if (cookie != 0 && cookie_of(fd) == cookie)
        (void)shutdown(fd, SHUT_RDWR);
}

void pen_links_release(struct pen_links *self)
{
    struct pen_map_node *node = pen_map_first(&self->by_routing);
    for (; node != NULL; node = pen_map_next(node))
        free(pen_map_value(node));
    pen_map_release(&self->by_routing);
    pen_map_release(&self->by_number);
    pen_map_release(&self->newest);
    free(self->connections);
    *self = (struct pen_links){0};
}

/* ---- identities */

static struct pen_key identity_key(const char *id, bool token)
{
    return (struct pen_key){.number = token ? 1 : 0, .text = id};
}

/* Put link at the head of its identity's chain; the map's key text is the head's own. */
static int chain_put(struct pen_links *self, struct pen_link *link, struct pen_link *older,
                     struct pen_error *err)
{
    struct pen_key key = identity_key(link->who.id, link->who.token);
    (void)pen_map_remove(&self->newest, key);
    link->older = older;
    return pen_map_put(&self->newest, key, link, err);
}

static void chain_remove(struct pen_links *self, struct pen_link *link)
{
    struct pen_key key = identity_key(link->who.id, link->who.token);
    struct pen_link *head = pen_map_get(&self->newest, key);
    if (head == link) {
        (void)pen_map_remove(&self->newest, key);
        if (link->older != NULL) {
            /* An entry has just been freed. Should the memory be gone all the same, the identity
             * has no newest link until it connects again, and messages to it are "not sent". */
            struct pen_link *older = link->older;
            (void)chain_put(self, older, older->older, NULL);
        }
    } else {
        struct pen_link *newer = head;
        while (newer != NULL && newer->older != link)
            newer = newer->older;
        if (newer != NULL)
            newer->older = link->older;
    }
    link->older = NULL;
}

/* ---- ends */

static void detach(struct pen_links *self, struct pen_link *link)
{
    if (link->fd >= 0 && (size_t)link->fd < self->connections_size &&
        self->connections[link->fd].link == link)
        self->connections[link->fd].link = NULL;
}

static void end(struct pen_links *self, struct pen_link *link, enum pen_link_state state,
                int64_t now_ms)
{
    CHECK(state == PEN_LINK_CUT || state == PEN_LINK_DEAD);
    CHECK(link->state != PEN_LINK_DEAD);
    if (link->state == PEN_LINK_CLOSING)
        self->closing_count--;
    if (link->state != PEN_LINK_CUT) {
        chain_remove(self, link);
        self->untold_count++;
    }
    link->state = state;
    link->ended_ms = now_ms;
    if (state == PEN_LINK_DEAD) {
        detach(self, link);
        (void)pen_map_remove(&self->by_number, pen_key_number(link->number));
    }
}

void pen_links_cut(struct pen_links *self, struct pen_link *link, int64_t now_ms)
{
    if (link->state == PEN_LINK_CUT || link->state == PEN_LINK_DEAD)
        return;
    shut(link->fd, link->cookie);
    end(self, link, PEN_LINK_CUT, now_ms);
}

void pen_links_condemn_key(struct pen_links *self, const char *key_text, int64_t due_ms)
{
    CHECK(due_ms > 0);
    struct pen_map_node *node = pen_map_first(&self->by_number);
    for (; node != NULL; node = pen_map_next(node)) {
        struct pen_link *link = pen_map_value(node);
        if (link->cut_due_ms != 0 || strcmp(link->who.key_text, key_text) != 0)
            continue;
        link->cut_due_ms = due_ms;
        if (self->cut_due_ms == 0 || due_ms < self->cut_due_ms)
            self->cut_due_ms = due_ms;
    }
}

void pen_links_cut_condemned(struct pen_links *self, int64_t now_ms)
{
    if (self->cut_due_ms == 0 || now_ms < self->cut_due_ms)
        return;
    self->cut_due_ms = 0;
    struct pen_map_node *node = pen_map_first(&self->by_number);
    for (; node != NULL; node = pen_map_next(node)) {
        struct pen_link *link = pen_map_value(node);
        if (link->cut_due_ms == 0)
            continue;
        if (link->cut_due_ms <= now_ms)
            pen_links_cut(self, link, now_ms);
        else if (self->cut_due_ms == 0 || link->cut_due_ms < self->cut_due_ms)
            self->cut_due_ms = link->cut_due_ms;
    }
}

void pen_links_cut_descriptor(struct pen_links *self, int fd)
{
    if (fd >= 0 && (size_t)fd < self->connections_size && self->connections[fd].open)
        shut(fd, self->connections[fd].cookie);
}

void pen_links_settle(struct pen_links *self, int64_t now_ms)
{
    if (self->closing_count == 0)
        return;
    struct pen_map_node *node = pen_map_first(&self->by_number);
    while (node != NULL) {
        struct pen_link *link = pen_map_value(node);
        node = pen_map_next(node);
        if (link->state == PEN_LINK_CLOSING)
            end(self, link, PEN_LINK_DEAD, now_ms);
    }
    CHECK(self->closing_count == 0);
}

/* ---- descriptors */

static int slot_of(struct pen_links *self, int fd, struct pen_connection **ret_slot,
                   struct pen_error *err)
{
    if (fd < 0 || fd >= DESCRIPTORS_MAX)
        return pen_fail(err, PEN_EINVAL, "descriptor %d of a connection is out of range", fd);
    size_t needed = (size_t)fd + 1;
    if (needed > self->connections_size) {
        size_t size = needed < 64 ? 64 : needed * 2;
        struct pen_connection *connections =
            reallocarray(self->connections, size, sizeof connections[0]);
        if (connections == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for %zu connections", size);
        memset(&connections[self->connections_size], 0,
               (size - self->connections_size) * sizeof connections[0]);
        self->connections = connections;
        self->connections_size = size;
    }
    *ret_slot = &self->connections[fd];
    return 0;
}

static void close_slot(struct pen_links *self, int fd, struct pen_connection *slot, int64_t now_ms)
{
    struct pen_link *link = slot->link;
    uint64_t cookie = slot->cookie;
    if (slot->open)
        self->open_count--;
    *slot = (struct pen_connection){0};
    if (link == NULL)
        return;
    /* Should events and messages have crossed so that this link still lives, it must not go on: its
     * messages would be dropped for ever. */
    shut(fd, cookie);
    if (link->state == PEN_LINK_LIVE) {
        link->state = PEN_LINK_CLOSING;
        self->closing_count++;
    } else if (link->state == PEN_LINK_CUT) {
        end(self, link, PEN_LINK_DEAD, now_ms);
    }
}

/* Find the slot, and see whether it still stands for the socket behind the descriptor. */
static int fresh_slot_of(struct pen_links *self, int fd, int64_t now_ms,
                         struct pen_connection **ret_slot, struct pen_error *err)
{
    struct pen_connection *slot;
    int rc = slot_of(self, fd, &slot, err);
    if (rc < 0)
        return rc;
    uint64_t cookie = cookie_of(fd);
    if (slot->open && cookie != 0 && cookie != slot->cookie)
        close_slot(self, fd, slot, now_ms);
    if (!slot->open && cookie != 0) {
        *slot = (struct pen_connection){.open = true, .cookie = cookie};
        self->open_count++;
    }
    *ret_slot = slot;
    return 0;
}

int pen_links_accepted(struct pen_links *self, int fd, int64_t now_ms, struct pen_error *err)
{
    struct pen_connection *slot;
    int rc = slot_of(self, fd, &slot, err);
    if (rc < 0)
        return rc;
    if (slot->open && !slot->accepted_seen) {
        slot->accepted_seen = true; /* its first message was quicker than this event */
        return 0;
    }
    close_slot(self, fd, slot, now_ms);
    *slot = (struct pen_connection){.open = true, .accepted_seen = true, .cookie = cookie_of(fd)};
    self->open_count++;
    return 0;
}

void pen_links_disconnected(struct pen_links *self, int fd, int64_t now_ms)
{
    if (fd < 0 || (size_t)fd >= self->connections_size)
        return;
    struct pen_connection *slot = &self->connections[fd];
    if (slot->open && slot->accepted_seen)
        close_slot(self, fd, slot, now_ms);
    /* else the event means a predecessor with the same descriptor, which is closed already */
}

void pen_links_delivered(struct pen_links *self, int fd, size_t size)
{
    self->unswept_bytes += size + FRAME_OVERHEAD;
    if (fd >= 0 && (size_t)fd < self->connections_size && self->connections[fd].open)
        self->connections[fd].delivered_bytes += size + FRAME_OVERHEAD;
}

/* ---- links */

struct pen_link *pen_links_by_routing(const struct pen_links *self, uint32_t routing)
{
    return pen_map_get(&self->by_routing, pen_key_number(routing));
}

static bool may_send(const struct pen_link *link)
{
    return link != NULL && (link->state == PEN_LINK_LIVE || link->state == PEN_LINK_CLOSING);
}

struct pen_link *pen_links_by_number(const struct pen_links *self, uint64_t number)
{
    struct pen_link *link = pen_map_get(&self->by_number, pen_key_number(number));
    return may_send(link) ? link : NULL;
}

struct pen_link *pen_links_newest(const struct pen_links *self, const char *id, bool token)
{
    struct pen_link *link = pen_map_get(&self->newest, identity_key(id, token));
    return may_send(link) ? link : NULL;
}

static int enter(struct pen_links *self, struct pen_link *link, size_t links_max, int64_t now_ms,
                 struct pen_error *err)
{
    struct pen_link *older = pen_links_newest(self, link->who.id, link->who.token);
    int rc = pen_map_put(&self->by_routing, pen_key_number(link->routing), link, err);
    if (rc < 0)
        return rc;
    rc = pen_map_put(&self->by_number, pen_key_number(link->number), link, err);
    if (rc == 0 && (rc = chain_put(self, link, older, err)) < 0)
        (void)pen_map_remove(&self->by_number, pen_key_number(link->number));
    if (rc < 0) {
        (void)pen_map_remove(&self->by_routing, pen_key_number(link->routing));
        return rc;
    }
    size_t count = 0;
    struct pen_link *oldest = link;
    for (struct pen_link *each = link; each != NULL; each = each->older) {
        oldest = each;
        count++;
    }
    if (count > links_max)
        pen_links_cut(self, oldest, now_ms);
    return 0;
}

int pen_links_open(struct pen_links *self, uint32_t routing, int fd, const struct pen_identity *who,
                   size_t links_max, int64_t now_ms, struct pen_link **ret_link,
                   struct pen_error *err)
{
    CHECK(links_max > 0);
    CHECK(pen_links_by_routing(self, routing) == NULL);
    struct pen_connection *slot;
    int rc = fresh_slot_of(self, fd, now_ms, &slot, err);
    if (rc < 0)
        return rc;
    struct pen_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a link of '%s'", who->id);
    link->number = ++self->last_number;
    link->routing = routing;
    link->state = PEN_LINK_LIVE;
    link->who = *who;
    link->fd = fd;
    link->cookie = slot->open ? slot->cookie : 0;
    rc = enter(self, link, links_max, now_ms, err);
    if (rc < 0) {
        free(link);
        return rc;
    }
    if (slot->open && slot->link == NULL) {
        slot->link = link;
    } else {
        /* The connection is closed already: no event will ever tell of this link's end. */
        link->state = PEN_LINK_CLOSING;
        self->closing_count++;
    }
    *ret_link = link;
    return 0;
}

struct pen_link *pen_links_next_gone(struct pen_links *self)
{
    if (self->untold_count == 0)
        return NULL;
    struct pen_map_node *node = pen_map_first(&self->by_routing);
    for (; node != NULL; node = pen_map_next(node)) {
        struct pen_link *link = pen_map_value(node);
        if (!link->gone_told && (link->state == PEN_LINK_CUT || link->state == PEN_LINK_DEAD))
            return link;
    }
    UNREACHABLE("a link that has ended cannot be found");
}

void pen_links_told(struct pen_links *self, struct pen_link *link)
{
    CHECK(!link->gone_told);
    CHECK(self->untold_count > 0);
    link->gone_told = true;
    self->untold_count--;
}

static size_t sweep_connections(struct pen_links *self, uint64_t undelivered_max, int64_t now_ms,
                                bool *ret_busy)
{
    size_t cut = 0;
    *ret_busy = false;
    self->unswept_bytes = 0;
    for (size_t fd = 0; fd < self->connections_size && self->open_count > 0; fd++) {
        struct pen_connection *slot = &self->connections[fd];
        if (!slot->open)
            continue;
        struct tcp_info info = {0};
        socklen_t size = sizeof info;
        if (getsockopt((int)fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
            continue;
        *ret_busy |= info.tcpi_bytes_received > slot->received_bytes + PEN_LINKS_BUSY_BYTES;
        slot->received_bytes = info.tcpi_bytes_received;
        if (slot->received_bytes <= slot->delivered_bytes + undelivered_max)
            continue;
        cut++;
        shut((int)fd, slot->cookie);
        if (slot->link != NULL)
            pen_links_cut(self, slot->link, now_ms);
    }
    return cut;
}

size_t pen_links_sweep(struct pen_links *self, uint64_t undelivered_max, int64_t now_ms,
                       bool *ret_busy)
{
    struct pen_map_node *node = pen_map_first(&self->by_routing);
    while (node != NULL) {
        struct pen_link *link = pen_map_value(node);
        node = pen_map_next(node);
        if (link->state == PEN_LINK_CUT && now_ms - link->ended_ms > DEAD_KEPT_MS)
            end(self, link, PEN_LINK_DEAD, now_ms); /* its event was missed */
        if (link->state != PEN_LINK_DEAD || !link->gone_told ||
            now_ms - link->ended_ms < DEAD_KEPT_MS)
            continue;
        (void)pen_map_remove(&self->by_routing, pen_key_number(link->routing));
        free(link);
    }
    return sweep_connections(self, undelivered_max, now_ms, ret_busy);
}
