/* controller/services/penstock/fact_text.h - one fact as a word and a sentence */
#ifndef PEN_CONTROLLER_SERVICES_PENSTOCK_FACT_TEXT_H
#define PEN_CONTROLLER_SERVICES_PENSTOCK_FACT_TEXT_H

#include "common/base/buf.h"
#include "fact.pb-c.h"

/* "execution_started": the fact's name in the schema; "unknown" for one of a newer release. */
const char *pen_fact_kind(const Pen__Fact *fact);

/* Append what happened, for people. */
void pen_fact_text(const Pen__Fact *fact, struct pen_buf *ret_text);

/* What the fact is about, as far as it says itself; each may be NULL or 0. */
struct pen_fact_subject {
    const char *stage;
    const char *action;
    const char *action_execution_id; /* when it names the action by this only */
    uint64_t fence;                  /* when it names an attempt */
};
void pen_fact_subject(const Pen__Fact *fact, struct pen_fact_subject *ret_subject);

#endif
