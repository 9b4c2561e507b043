/* controller/engine/explain_reason.c - one reason of an explanation, and the commands that clear it
 *
 * Whoever reads a reason pastes its command as it stands, so each is whole: every name, the
 * execution, and what the command asks for.
 */
#include <stdarg.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
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

/* "penstock VERB WORDS OPTIONS"; a word that looks like an option comes behind all options. */
static char *command_make(const char *verb, const char *options, va_list words)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf names = {0};
    bool dashed = false;
    for (const char *word = va_arg(words, const char *); word != NULL;
         word = va_arg(words, const char *)) {
        pen_buf_printf(&names, " %s", word);
        dashed = dashed || word[0] == '-';
    }
    pen_buf_printf(&text, "penstock %s", verb);
    if (!dashed)
        pen_buf_puts(&text, pen_buf_text(&names));
    if (options != NULL)
        pen_buf_printf(&text, " %s", options);
    if (dashed)
        pen_buf_printf(&text, " --%s", pen_buf_text(&names));
    return mem_text(pen_buf_text(&text));
}

void reason_advise(Pen__Reason *reason, const char *verb, const char *options, ...)
{
    va_list words;
    va_start(words, options);
    char *command = command_make(verb, options, words);
    va_end(words);
    APPEND(reason, commands, command);
}

void reason_see(Pen__Reason *reason, const char *verb, const char *options, ...)
{
    va_list words;
    va_start(words, options);
    reason->see = command_make(verb, options, words);
    va_end(words);
}

void reason_acts(Pen__Reason *reason, const char *who)
{
    mem_set_text(&reason->acts, who);
}

void reason_expect(Pen__Reason *reason, const struct expectation *expectation)
{
    if (expectation->usual_ms < 0)
        return;
    SET(reason, usual_ms, expectation->usual_ms);
    if (expectation->left_ms >= 0)
        SET(reason, estimate_ms, expectation->left_ms);
    else
        SET(reason, overdue_ms, -expectation->left_ms);
}
