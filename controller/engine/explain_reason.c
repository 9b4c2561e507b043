/* controller/engine/explain_reason.c - one reason of an explanation */
#include "controller/engine/explain.h"

Pen__Reason *reason_add(Pen__Reply *reply, const Pen__ExecutionRow *execution, char *subject,
                        const char *predicate, const struct pen_buf *sentence, int64_t since_ms,
                        const char *clears, bool never)
{
    Pen__Reason *reason = MAKE(Pen__Reason, pen__reason__init);
    reason->subject = subject;
    reason->execution_id = mem_text(execution == NULL ? NULL : execution->id);
    reason->predicate = mem_text(predicate);
    reason->sentence = mem_text(pen_buf_text(sentence));
    SET(reason, since_ms, since_ms);
    reason->clears = mem_text(clears);
    if (never)
        SET(reason, never, 1);
    APPEND(reply, reasons, reason);
    return reason;
}
