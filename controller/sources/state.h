/* controller/sources/state.h - what the files of this folder share; not for others
 *
 * All of it belongs to the one thread of sources.c.
 *
 *     SourceWatch ---> watch --- local ---> head differs ---> RevisionFound
 *                        |                      ^
 *                        +--- connection ---> mirror: wanted -> fetching -> fetched
 *                                               |
 *     SourceRun -----> run --- connection ------+--> resolve, pack ---> SourceDone
 *                        +---- local ----------------> resolve, pack ---> SourceDone
 */
#ifndef PEN_CONTROLLER_SOURCES_STATE_H
#define PEN_CONTROLLER_SOURCES_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/blob/blob.h"
#include "common/io/inbox.h"
#include "controller/sources/child.h"
#include "controller/sources/fetch.h"
#include "controller/sources/revision.h"
#include "controller/sources/sources.h"
#include "core.pb-c.h"

enum {
    PEN_FETCHES_MAX = 4,       /* children at one time */
    PEN_PACKED_MAX = 256,      /* commits whose artifact is remembered */
    PEN_FETCH_GRACE_MS = 2000, /* between TERM and KILL */
};

/* A bare copy of one repository behind one connection. It is a cache: it may be dropped at any time
 * that no fetch runs. */
struct pen_mirror {
    struct pen_mirror *next;
    char name[PEN_SHA256_HEX + 4]; /* of its folder: the digest of connection and URL, ".git" */
    char *path;
    char *connection_id;
    struct pen_git_url url;

    bool wanted;      /* a fetch has been asked for since the last one began */
    uint64_t started; /* fetches begun; a run waits for one that begins after it was asked for */
    bool fetching;
    struct pen_fetch fetch;
    int64_t deadline_ms;
    bool timed_out;
    bool unwanted;   /* it was ended because nobody waits for it any more */
    bool killed;     /* KILL was needed: what it left behind is not to be trusted */
    unsigned locked; /* fetches in a row that met the lock of another git */
    bool failing;    /* the last one failed: says so once */
    bool needed;     /* as the sweep under way has found */

    bool checked;       /* in this life: a power cut may have spoiled it before */
    bool renewing;      /* thrown away, and not fetched since */
    bool proven;        /* since then a commit was read from it */
    int64_t renewed_ms; /* when; 0: never in this life */

    bool upkeep_due;         /* its packs are to be merged */
    int64_t upkeep_after_ms; /* not before: the last merge failed */
    size_t packs_left;       /* by the last merge */
};

/* The one child that merges packs. */
struct pen_upkeep {
    struct pen_mirror *mirror; /* whose; NULL: no child */
    struct pen_git_child child;
    int64_t deadline_ms;
    bool late;  /* it was told to end */
    bool whole; /* it merges everything */
};

/* How a change became known. */
enum pen_news {
    PEN_NEWS_POLL = 1, /* looked at the right time */
    PEN_NEWS_PUSH,     /* a repository of ours was pushed to */
    PEN_NEWS_HOOK,     /* the git server behind a connection called */
};

struct pen_watch {
    struct pen_watch *next;
    Pen__SourceWatch *order;
    char *known_id;           /* head that the core knows of; NULL: none */
    bool settled;             /* known_id is what it was when the watch began, or later */
    char *problem;            /* last one logged; NULL: none */
    uint64_t poked;           /* fetch that a hook has asked for; 0: none */
    struct pen_git_refs refs; /* order->all_refs: branches and tags that the core was told of */
    bool refs_known;
    bool more;          /* the last look has found more than it has reported */
    enum pen_news news; /* how it became known */
};

/* A pull request that is to be looked at. */
struct pen_look {
    struct pen_look *next;
    Pen__PullRequestLook *order;
    uint64_t fetch;   /* number of the fetch that brings it; 0: none yet */
    unsigned tries;   /* looks that have found git behind what the event told */
    int64_t again_ms; /* not asked for again before; monotonic */
};

/* What a fetch brings besides branches and tags. */
struct pen_refspecs {
    char *texts[PEN_FETCH_REFSPECS_MAX];
    size_t count;
};

struct pen_run {
    struct pen_run *next;
    Pen__SourceRun *order;
    bool begun;
    struct pen_mirror *mirror; /* waits for this one; NULL: not yet begun */
    uint64_t fetch;            /* number of the fetch it waits for */
};

struct pen_connection {
    struct pen_connection *next;
    Pen__ConnectionRow *row;
};

struct pen_packed {
    char *key;      /* repository path, commit id */
    char *left_out; /* what is not in it, for people; NULL: nothing */
    uint8_t manifest_sha256[PEN_SHA256_SIZE];
    uint64_t size;
};

/* Inputs that the core has no room for yet, in order. */
struct pen_outgoing {
    struct pen_outgoing *next;
    struct pen_post post;
};

struct pen_sources_state {
    char *dir;
    char *mirrors_path;
    char *pushes_path;
    int64_t poll_interval_ms;
    int64_t fetch_timeout_ms;
    const struct pen_sealer *sealer;
    struct pen_inbox *core;
    struct pen_blob_store *store;

    struct pen_watch *watches;
    struct pen_run *runs;
    struct pen_look *looks;
    struct pen_connection *connections;
    struct pen_mirror *mirrors;
    struct pen_upkeep upkeep;
    struct pen_packed packed[PEN_PACKED_MAX];
    size_t packed_next;
    struct pen_outgoing *outgoing;
    struct pen_outgoing **outgoing_end;

    int64_t next_poll_ms;
};

/* ---- report.c: inputs for the core */

int pen_report_revision(struct pen_sources_state *self, const Pen__SourceWatch *watch,
                        const char *revision_id, enum pen_news news, struct pen_error *err);
/* The same about one of all branches and tags, with the files that changed. */
int pen_report_ref(struct pen_sources_state *self, const Pen__SourceWatch *watch,
                   const struct pen_git_ref *ref, const struct pen_git_files *files,
                   enum pen_news news, struct pen_error *err);
/* A branch or tag is there no more; NULL: the watch's own branch. */
int pen_report_gone(struct pen_sources_state *self, const Pen__SourceWatch *watch, const char *ref,
                    struct pen_error *err);
/* Whether a source action could be looked at (trouble NULL). watch NULL: for a pull request. */
int pen_report_looked(struct pen_sources_state *self, const char *pipeline, const char *action,
                      const Pen__SourceWatch *watch, const char *trouble,
                      const struct pen_git_refs *branches, struct pen_error *err);
/* What a first look has found. */
int pen_report_refs(struct pen_sources_state *self, const Pen__SourceWatch *watch,
                    const struct pen_git_refs *refs, struct pen_error *err);
/* Takes the texts and the messages in done; action_execution_id is filled in. */
int pen_report_done(struct pen_sources_state *self, const char *action_execution_id,
                    Pen__SourceDone *done, struct pen_error *err);
int pen_report_failed(struct pen_sources_state *self, const char *action_execution_id,
                      const char *error_code, const char *sentence, struct pen_error *err);
/* Hand over what the core has room for. */

/* The repository that a request waits for is there; reason: why it cannot be made, or NULL. */
int pen_report_repository(struct pen_sources_state *self, const Pen__RepositoryMake *order,
                          const char *reason, struct pen_error *err);

/* Read a time zone for a rule, or say why it cannot be. */
int pen_report_zone(struct pen_sources_state *self, const Pen__ZoneWanted *wanted,
                    struct pen_error *err);
int pen_report_swept(struct pen_sources_state *self, Pen__MirrorsSwept *swept,
                     struct pen_error *err);
int pen_report_flush(struct pen_sources_state *self, struct pen_error *err);

/* What a look has found. head NULL: there is no such pull request. */
int pen_report_pull_request(struct pen_sources_state *self, const Pen__PullRequestLook *order,
                            const char *head, const struct pen_git_files *files,
                            struct pen_error *err);

/* The value of a configuration key, NULL when it is not given. */
const char *pen_configuration_get(Pen__SourceRun__ConfigurationEntry *const *run_entries,
                                  size_t count, const char *key);

/* ---- hosted.c: the repositories we keep */

int pen_hosted_make(struct pen_sources_state *self, const char *name, struct pen_error *err);
int pen_hosted_drop(struct pen_sources_state *self, const char *name, struct pen_error *err);
/* Where it is; NULL when the name cannot be one, or when out of memory. */
char *pen_hosted_path(const struct pen_sources_state *self, const char *name);
/* Whether a push to it has been announced; the announcement is taken off. */
bool pen_hosted_take_push(struct pen_sources_state *self, const char *name);

/* ---- mirror.c */

/* The mirror for a repository behind a connection, made when there is none. Errors: PEN_ENOTFOUND
 * (no such connection), PEN_EINVAL (its URL is refused), PEN_ENOMEM. */
int pen_mirror_find(struct pen_sources_state *self, const char *connection_arn,
                    const char *repository_id, struct pen_mirror **ret_mirror,
                    struct pen_error *err);
struct pen_connection *pen_connection_find(struct pen_sources_state *self, const char *arn_or_id);
/* Ask for a fetch that begins after now; returns its number. */
uint64_t pen_mirror_want(struct pen_mirror *mirror);
/* Start what is wanted, as far as there are slots. */
int pen_mirrors_start(struct pen_sources_state *self, int64_t now_ms, struct pen_error *err);
/* The child of a fetch has ended. */
int pen_mirror_fetched(struct pen_sources_state *self, struct pen_mirror *mirror,
                       struct pen_error *err);
/* It cannot be read, or git says so: throw it away and ask for a fetch that makes it again. False:
 * that was done not long ago and has not helped, or cannot be done. Not while a fetch runs. */
bool pen_mirror_renew(struct pen_sources_state *self, struct pen_mirror *mirror, const char *why);
/* End what takes too long, or what nobody wants any more. */
void pen_mirrors_check(struct pen_sources_state *self, int64_t now_ms);
int64_t pen_mirrors_deadline_ms(const struct pen_sources_state *self);
void pen_mirrors_drop(struct pen_sources_state *self, const char *connection_id);
void pen_mirror_destroy(struct pen_mirror **mirror_p);

/* ---- sweep.c */

/* Move aside the mirrors that nobody needs, and answer. */
int pen_mirrors_sweep(struct pen_sources_state *self, const Pen__MirrorsSweep *order,
                      struct pen_error *err);

/* ---- upkeep.c: merging the packs of mirrors, in the background */

/* A fetch has ended well: see whether a merge is due. */
void pen_upkeep_consider(struct pen_mirror *mirror);
/* Start what is due, when no child is there. A failure is logged, and tried again later. */
void pen_upkeep_start(struct pen_sources_state *self, int64_t now_ms);
void pen_upkeep_listen(struct pen_upkeep *self);
/* Its child has ended. */
int pen_upkeep_ended(struct pen_sources_state *self, struct pen_error *err);
/* End what takes too long. */
void pen_upkeep_check(struct pen_upkeep *self, int64_t now_ms);
/* End the child at once: the mirror is about to go (NULL: all are). */
void pen_upkeep_stop(struct pen_sources_state *self, const struct pen_mirror *mirror);

/* ---- watch.c */

int pen_watch_add(struct pen_sources_state *self, Pen__SourceWatch *order, struct pen_error *err);
void pen_watch_drop(struct pen_sources_state *self, const char *pipeline);
void pen_watch_destroy(struct pen_watch **watch_p);
/* A push to a hosted repository was announced. Without a watch the announcement stays for one that
 * comes later. */
int pen_watch_pushed(struct pen_sources_state *self, const char *name, struct pen_error *err);
/* A git server says that there was a push: fetch all that is watched behind the connection. */
int pen_watch_poke(struct pen_sources_state *self, const char *connection_id,
                   struct pen_error *err);
int pen_watch_poll(struct pen_sources_state *self, struct pen_error *err);
/* The mirror of a watch behind a connection. Errors: as pen_mirror_find. */
int pen_watch_mirror_of(struct pen_sources_state *self, const struct pen_watch *watch,
                        struct pen_mirror **ret_mirror, struct pen_error *err);
/* A mirror has news, or its fetch failed: why is then not NULL. */
int pen_watch_mirror(struct pen_sources_state *self, const struct pen_mirror *mirror,
                     const char *why, struct pen_error *err);
/* Connections came: ask for what could not be asked before. */
int pen_watch_connection(struct pen_sources_state *self, const Pen__ConnectionRow *row,
                         struct pen_error *err);
/* A run has read the head of a branch. */
void pen_watch_learn(struct pen_sources_state *self, const Pen__SourceRun *run, const char *id);

/* Tell the core, and the log, once why a source cannot be looked at, and with NULL that it can
 * again. branches: those that there are, when its own is not there; else NULL. */
int pen_watch_note(struct pen_sources_state *self, struct pen_watch *watch, const char *problem,
                   const struct pen_git_refs *branches, struct pen_error *err);

/* ---- watch_refs.c */

/* A mirror has news: compare all branches and tags, and report what moved, is new or is gone; when
 * that is much, a part of it. */
int pen_watch_check_refs(struct pen_sources_state *self, struct pen_watch *watch, const char *path,
                         enum pen_news news, struct pen_error *err);
/* The watch begins with what the core knows of the refs. Errors: PEN_ENOMEM. */
int pen_watch_refs_begin(struct pen_sources_state *self, struct pen_watch *watch,
                         struct pen_error *err);
/* The core has room again: report the rest of looks that have found much. */
int pen_watch_refs_go_on(struct pen_sources_state *self, struct pen_error *err);
bool pen_watch_refs_wait(const struct pen_sources_state *self);

/* ---- look.c: pull requests
 *
 *     PullRequestLook --> asked for --> in a fetch --> PullRequestFound
 *                            ^             | it failed: the next poll
 *                            |             | the ref does not show yet what the event told: soon,
 *                            +-------------+ LOOK_TRIES_MAX times
 */

/* Takes order. One that is there already is not added again. */
int pen_look_add(struct pen_sources_state *self, Pen__PullRequestLook *order,
                 struct pen_error *err);
void pen_looks_drop(struct pen_sources_state *self, const char *pipeline);
void pen_look_destroy(struct pen_look **look_p);
/* When pen_looks_ask is to be called next; INT64_MAX: when something else happens. */
int64_t pen_looks_deadline_ms(const struct pen_sources_state *self);
/* Ask for fetches of those that are in none; answer those whose connection is gone. */
int pen_looks_ask(struct pen_sources_state *self, struct pen_error *err);
/* A fetch begins: what it has to bring, as far as there is room. */
void pen_looks_join(struct pen_sources_state *self, struct pen_mirror *mirror,
                    struct pen_refspecs *refspecs);
/* It has ended. why: git's words when it failed for good; else NULL. */
int pen_looks_mirror(struct pen_sources_state *self, struct pen_mirror *mirror, bool fetched,
                     const char *why, struct pen_error *err);
/* Add what brings the head of a pull request, when there is room; false: there is none. */
bool pen_refspecs_add(struct pen_refspecs *self, const Pen__PullRequest *pull_request);
void pen_refspecs_release(struct pen_refspecs *self);

/* ---- run.c */

/* As pen_looks_join, for runs of pull requests whose commit is not there any more. */
void pen_runs_join(const struct pen_sources_state *self, const struct pen_mirror *mirror,
                   struct pen_refspecs *refspecs);

int pen_run_add(struct pen_sources_state *self, Pen__SourceRun *order, struct pen_error *err);
int pen_run_cancel(struct pen_sources_state *self, const char *action_execution_id,
                   struct pen_error *err);
/* Begin those that have come: now that everything that came with them is known. */
int pen_runs_begin(struct pen_sources_state *self, struct pen_error *err);
/* A fetch has ended: finish those that waited for it. error_code NULL: it went well. */
int pen_runs_mirror(struct pen_sources_state *self, struct pen_mirror *mirror, uint64_t fetch,
                    const char *error_code, const char *sentence, struct pen_error *err);
bool pen_runs_wait_for(const struct pen_sources_state *self, const struct pen_mirror *mirror);
void pen_run_destroy(struct pen_run **run_p);

#endif
