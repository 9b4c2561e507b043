/* controller/dispatch/links.h - who is connected to a ROUTER: links, and their descriptors
 *
 *               cut          DISCONNECTED
 *     LIVE ----------> CUT ---------------> DEAD ---> forgotten after some seconds
 *       '--DISCONNECTED--> CLOSING --read dry--^
 *
 * A link is one connection that has sent a message, known by the routing id that the ROUTER gave it
 * and numbered from 1 on. libzmq names no peer in its events and lets no connection be closed, so
 * links are joined to descriptors, which the monitor's events speak of, and are cut by shutdown(2).
 * A descriptor's number may be used again at any time: the socket's cookie, which never is, tells
 * whether it is still the one that was meant.
 *
 * What a link sent before it ended is still delivered (CLOSING); later stragglers meet a DEAD link
 * and are dropped, since a new link of the same routing id would never end.
 */
#ifndef PEN_CONTROLLER_DISPATCH_LINKS_H
#define PEN_CONTROLLER_DISPATCH_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/map.h"
#include "controller/dispatch/keyring.h"

/* So much between two sweeps is more than heartbeats: some hundreds an agent. */
enum { PEN_LINKS_BUSY_BYTES = 65536 };

enum pen_link_state { PEN_LINK_LIVE = 1, PEN_LINK_CLOSING, PEN_LINK_CUT, PEN_LINK_DEAD };

struct pen_link {
    uint64_t number;
    uint32_t routing; /* the ROUTER's own id for the connection */
    enum pen_link_state state;
    struct pen_identity who;
    uint64_t checked_generation; /* of the key ring, when `who` was last found in it */
    unsigned malformed_in_a_row; /* the reader's count */
    /* private */
    int fd;
    uint64_t cookie;
    int64_t cut_due_ms; /* 0: not condemned */
    bool gone_told;
    int64_t ended_ms;
    struct pen_link *older; /* of the same identity */
};

struct pen_connection; /* one descriptor, whether or not it ever spoke */

struct pen_links {
    struct pen_map by_routing; /* owns the links */
    struct pen_map by_number;  /* all but DEAD ones */
    struct pen_map newest;     /* (token, id) -> newest link of that identity, not CUT or DEAD */
    struct pen_connection *connections; /* by descriptor */
    size_t connections_size;
    size_t open_count;    /* connections that are open */
    size_t closing_count; /* links to settle */
    size_t untold_count;  /* links that ended and were not yet handed out by next_gone */
    int64_t cut_due_ms;   /* of the first condemned link, 0: there is none */
    uint64_t last_number;
    uint64_t unswept_bytes; /* delivered since the last sweep */
};

void pen_links_release(struct pen_links *self);

/* The monitor's events. Errors: PEN_ENOMEM. */
int pen_links_accepted(struct pen_links *self, int fd, int64_t now_ms, struct pen_error *err);
void pen_links_disconnected(struct pen_links *self, int fd, int64_t now_ms);

/* Count a message of `size` bytes that was read from this descriptor's connection. */
void pen_links_delivered(struct pen_links *self, int fd, size_t size);

/* NULL when there is none. by_number and newest give only links that may be sent to. */
struct pen_link *pen_links_by_routing(const struct pen_links *self, uint32_t routing);
struct pen_link *pen_links_by_number(const struct pen_links *self, uint64_t number);
struct pen_link *pen_links_newest(const struct pen_links *self, const char *id, bool token);

/* A new link; one identity has at most links_max, and its oldest is cut for a further one: a host
 * that lost its power comes back before its old connections time out. Errors: PEN_ENOMEM. */
int pen_links_open(struct pen_links *self, uint32_t routing, int fd, const struct pen_identity *who,
                   size_t links_max, int64_t now_ms, struct pen_link **ret_link,
                   struct pen_error *err);

/* End a connection; its further messages are to be dropped. Does nothing to a link that has ended.
 */
void pen_links_cut(struct pen_links *self, struct pen_link *link, int64_t now_ms);
/* End all connections of a key at due_ms; until then, what was sent to them may still go out. */
void pen_links_condemn_key(struct pen_links *self, const char *key_text, int64_t due_ms);
/* Cut those whose time has come. */
void pen_links_cut_condemned(struct pen_links *self, int64_t now_ms);
/* As cut, for a connection that made no link, or whose link has ended. */
void pen_links_cut_descriptor(struct pen_links *self, int fd);

/* All messages that had come were read: what is CLOSING is DEAD. */
void pen_links_settle(struct pen_links *self, int64_t now_ms);

/* A link that has ended and was not yet told of; NULL when there is none. The caller says told when
 * it has done what is to be done about it. */
struct pen_link *pen_links_next_gone(struct pen_links *self);
void pen_links_told(struct pen_links *self, struct pen_link *link);

/* Forget links that died some seconds ago. Cut connections whose kernel has received more than
 * undelivered_max bytes beyond those delivered: a flood, or an endless multi-part message, which
 * is never delivered, would fill libzmq's memory. Returns how many were cut; ret_busy says whether
 * much has come since the last sweep, so that the next one should be soon. */
size_t pen_links_sweep(struct pen_links *self, uint64_t undelivered_max, int64_t now_ms,
                       bool *ret_busy);

#endif
