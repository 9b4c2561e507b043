/* agent/logs/logs.h - captured log bytes on their way to the controller
 *
 * The shim writes FOLDER/FENCE.log; this room reads it from where the controller has it to where
 * the shim is, and sends what the credit allows. It keeps three numbers for each attempt:
 *
 *     acknowledged <= sent <= captured,  sent - acknowledged <= credit
 *
 * All logs together have at most PEN_LIMIT_LOG_LINK_BYTES under way; those that wait for room get
 * it in turns.
 *
 * Nothing of them is stored: the controller's answer to what is sent after a (re)connection tells
 * where it really is.
 */
#ifndef PEN_AGENT_LOGS_LOGS_H
#define PEN_AGENT_LOGS_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum {
    PEN_LOG_PIECE_BYTES = 128 * 1024,           /* of one message; half of what a peer accepts */
    PEN_LOG_CREDIT_DEFAULT_BYTES = 1024 * 1024, /* until the controller says */
    PEN_LOG_REFUSED_FIRST_MS = 200,
    PEN_LOG_REFUSED_LAST_MS = 30 * 1000,
};

/* Send log bytes; PEN_EUNAVAILABLE: not now. */
typedef int (*pen_logs_send_f)(void *context, uint64_t fence, uint64_t offset, const void *bytes,
                               size_t size);

struct pen_logs;

int pen_logs_open(const char *folder, pen_logs_send_f send, void *context,
                  struct pen_logs **ret_logs, struct pen_error *err);
void pen_logs_close(struct pen_logs **self_p);

/* Where the shim writes; free it. NULL when out of memory. */
char *pen_logs_path(const struct pen_logs *self, uint64_t fence);

/* So many bytes are captured; complete: there will be no more; adopted: an earlier process may have
 * sent some of them. Sends. Errors: PEN_ENOMEM. */
int pen_logs_captured(struct pen_logs *self, uint64_t fence, uint64_t size, bool complete,
                      bool adopted, struct pen_error *err);
/* The size of the file as it is now: for an adopted attempt. */
uint64_t pen_logs_file_size(const struct pen_logs *self, uint64_t fence);

/* From the controller: everything below offset is on its disk. credit_bytes 0: as before. */
void pen_logs_acked(struct pen_logs *self, uint64_t fence, uint64_t offset, uint64_t credit_bytes);
/* From the controller: go on from here. */
void pen_logs_resend(struct pen_logs *self, uint64_t fence, uint64_t offset);
/* From the controller: not now, or not this attempt. Waits, longer each time. */
void pen_logs_refused(struct pen_logs *self, uint64_t fence);

/* The data plane is there (anew): send again what is not acknowledged. */
void pen_logs_connected(struct pen_logs *self, uint64_t credit_bytes);

/* Send what waited for its time. */
void pen_logs_on_time(struct pen_logs *self);
int64_t pen_logs_deadline_ms(const struct pen_logs *self);

/* Nothing of a complete log is unacknowledged. */
bool pen_logs_is_acked(const struct pen_logs *self, uint64_t fence);

/* Forget the attempt and remove its log. */
void pen_logs_release(struct pen_logs *self, uint64_t fence);

#endif
