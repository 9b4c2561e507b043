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

/* What the attempt is about, and who ends that: its state says it. Returns a stable name. */
const char *attempt_say(const struct attempt *attempt, struct pen_buf *text,
                        const char **ret_clears);

/* Add to the reply all reasons why the execution stands where it stands. */
void explain_execution(struct explaining *self, const struct pen_engine *engine,
                       const struct execution *execution, Pen__Reply *reply);

/* All reasons why a queued action has no agent. */
void explain_queued(struct explaining *self, const struct action *action, Pen__Reply *reply);

/* The demand's first action, when no agent that is enrolled could ever run it. */
void explain_stuck(struct explaining *self, const struct demand *demand, Pen__Reply *reply);

/* A job of an action, and who has to do it. */
void explain_job(const struct pen_engine *engine, const struct action *action, Pen__Reply *reply);

/* Sources of the pipeline that cannot be looked at. */
void explain_troubles(const struct pipeline *pipeline, Pen__Reply *reply);

/* What keeps the controller from working at all. host: NULL when it was not told. */
void explain_host(const struct pen_engine *engine, const Pen__HostState *host, Pen__Reply *reply);

/* One reason; takes the subject. execution: NULL when it is about the pipeline itself. */
Pen__Reason *reason_add(Pen__Reply *reply, const Pen__ExecutionRow *execution, char *subject,
                        const char *predicate, const struct pen_buf *sentence, int64_t since_ms,
                        const char *clears, bool never);

/* Add the command "penstock VERB WORDS... OPTIONS" that clears it. verb: with its fixed words;
 * options: NULL for none; then the words up to NULL: names that need no quotes, as those of
 * pipelines, stages, actions and agents, and ids. */
void reason_advise(Pen__Reason *reason, const char *verb, const char *options, ...)
    __attribute__((sentinel));

/* The same, for the command that shows more. */
void reason_see(Pen__Reason *reason, const char *verb, const char *options, ...)
    __attribute__((sentinel));

/* Which person, group or program has to act: "a person who may approve". */
void reason_acts(Pen__Reason *reason, const char *who);

/* ---- estimates */

/* When something that is under way is over, as far as earlier runs tell. */
struct expectation {
    int64_t usual_ms; /* how long it takes on average; -1: there is no history */
    int64_t left_ms;  /* of that; negative: it takes longer by so much */
};

struct expectation history_action(const struct pen_engine *engine, const struct action *action);

/* Of the stage, for the execution that is in it. */
struct expectation history_stage(const struct pen_engine *engine,
                                 const struct execution *execution);

/* How long the stage takes; -1 without history. */
int64_t history_stage_ms(const struct stage_state *stage);

/* Tell of it: what is left, or by how much it is overdue. */
void reason_expect(Pen__Reason *reason, const struct expectation *expectation);

#endif
