/* controller/engine/job.h - jobs: actions of custom types on their way through job workers
 *
 *              poll             acknowledge            result
 *   QUEUED ----------> DISPATCHED --------> IN_PROGRESS ------> SUCCEEDED FAILED
 *     ^ ^                  |                     |
 *     | '------------------'                     | with a continuation token: SUCCEEDED, and the
 *     |  not acknowledged in time                | action goes on with a new job
 *     |                                          v
 *     '------------------------------------- CREATED
 *            after a pause
 *
 *   the action's time is over: TIMED_OUT        the action is given up: ABANDONED
 *
 * An action in phase JOB has exactly one job, which has not ended. A nonce belongs to one dispatch
 * and is good for one acknowledgement: of all workers that have ever been given a job, one works on
 * it. What has ended leaves memory; its row stays as history.
 */
#ifndef PEN_CONTROLLER_ENGINE_JOB_H
#define PEN_CONTROLLER_ENGINE_JOB_H

#include "common/base/buf.h"
#include "controller/engine/state.h"

struct job *find_job(const struct pen_engine *engine, const char *id);

/* The table of job.c. */
bool job_may_move(Pen__JobState from, Pen__JobState to);
bool job_state_ended(Pen__JobState state);

/* Keep queue and timer in step with row->state: before and after it is written. */
void job_leave_state(struct pen_engine *engine, struct job *self);
void job_enter_state(struct pen_engine *engine, struct job *self);

/* Connect a job with its action. Errors: PEN_ECORRUPT. */
int job_link(struct pen_engine *engine, struct job *self, struct pen_error *err);

/* Whether a job can be made for the action that starts with this row: its type is there, and the
 * value that workers poll by is one. Errors: PEN_EINVAL. */
int job_check(const struct pen_engine *engine, const Pen__ActionExecutionRow *row,
              struct pen_error *err);

/* Make the action's first job. */
void job_start(struct pen_engine *engine, struct action *action);

/* The job is over without a result. */
void job_close(struct pen_engine *engine, struct job *self, Pen__JobState state, const char *why);

/* Nobody works on it, or ever has: it may go when the execution is to stop. */
bool job_untouched(const struct job *self);

/* The job's pause or visibility is over. */
void job_timer(struct pen_engine *engine, struct job *self);

/* The action's time is over. */
void job_expire(struct pen_engine *engine, struct action *action);

/* Whether its action type is there, or it needs no poll any more. */
bool job_may_be_polled(const struct pen_engine *engine, const struct job *self);

/* Why the action is not done yet: a stable predicate name, its sentence, and what clears it. */
const char *job_explain(const struct pen_engine *engine, const struct job *self,
                        struct pen_buf *ret_sentence, const char **ret_clears);

/* Stop at the first rule that does not hold for the jobs (CHECK). */
void check_jobs(const struct pen_engine *engine);

#endif
