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

/* Add to the reply all reasons why the execution stands where it stands. */
void explain_execution(const struct pen_engine *engine, const struct execution *execution,
                       Pen__Reply *reply);

#endif
