/* cli/reason.h - a reason of an explanation, as a person reads it
 *
 *     site/Release/Agree: It waits for a person to approve it: Source at 0f3a... (for 3m)
 *         until: a person approves or rejects
 *         acts: a person who may approve
 *         clears: penstock approve site Release Agree --execution 4f1c...
 *
 * What stands behind "clears:" and "see:" is a command line, whole as it is, for whoever pastes it.
 */
#ifndef PEN_CLI_REASON_H
#define PEN_CLI_REASON_H

#include <jansson.h>
#include <stdint.h>

#include "common/base/buf.h"

/* Append the reason's lines. now_ms: wall clock. */
void pen_reason_put(const json_t *reason, int64_t now_ms, struct pen_buf *ret_text);

/* Append who has to act, and by which commands; nothing when the reason names nobody. */
void pen_reason_put_act(const json_t *reason, struct pen_buf *ret_text);

#endif
