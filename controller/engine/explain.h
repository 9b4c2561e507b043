/* controller/engine/explain.h - the predicates that decide whether something may go on, and the
 * sentences that say why it does not: one table for both, so that they cannot disagree */
#ifndef PEN_CONTROLLER_ENGINE_EXPLAIN_H
#define PEN_CONTROLLER_ENGINE_EXPLAIN_H

#include "common/base/buf.h"
#include "controller/engine/state.h"

/* Whether the agent takes new work at all (every agent predicate but the labels). */
bool agent_available(const struct pen_engine *engine, const struct agent *agent);

/* Whether its labels are those that the demand asks for. */
bool agent_serves(const struct pen_engine *engine, const struct agent *agent,
                  const struct demand *demand);

/* Whether the execution may enter the stage now (every gate predicate). `stage` may be NULL: a
 * stage that the pipeline does not have any more, which only PARALLEL executions still enter. */
bool gate_open(const struct pen_engine *engine, const struct execution *execution,
               const struct stage_state *stage);

/* Why a queued action of this demand has no agent: a stable predicate name, and its sentence. */
const char *demand_explain(const struct pen_engine *engine, const struct demand *demand,
                           struct pen_buf *ret_sentence, bool *ret_never);

/* The first gate predicate that does not hold, as the execution's status summary: of a row that
 * waits. The caller owns it. */
char *gate_summary(const struct execution *execution, const struct stage_state *stage);

/* ---- all reasons, for one request: what many of them share is found once */

struct explaining;
struct explaining *explaining_create(const struct pen_engine *engine);
void explaining_destroy(struct explaining **self_p);

/* Add to the reply all reasons why the execution stands where it stands. */
void explain_execution(struct explaining *self, const struct pen_engine *engine,
                       const struct execution *execution, Pen__Reply *reply);

/* All reasons why a queued action has no agent. */
void explain_queued(struct explaining *self, const struct action *action, Pen__Reply *reply);

/* One reason; takes the subject. execution: NULL when it is about the pipeline itself. */
Pen__Reason *reason_add(Pen__Reply *reply, const Pen__ExecutionRow *execution, char *subject,
                        const char *predicate, const struct pen_buf *sentence, int64_t since_ms,
                        const char *clears, bool never);

/* ---- estimates: milliseconds left on average; -1 without history, and when it is overdue */

int64_t history_action_left_ms(const struct pen_engine *engine, const struct action *action);

/* Of the stage, for the execution that is in it. */
int64_t history_stage_left_ms(const struct pen_engine *engine, const struct execution *execution);

/* How long the stage takes; -1 without history. */
int64_t history_stage_ms(const struct stage_state *stage);

#endif
