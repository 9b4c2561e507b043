#include "controller/model/webhook.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "controller/model/providers.h"

static const char key_characters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

int pen_webhook_expand(const char *match_equals, const Pen__ActionDeclaration *action,
                       char **ret_text, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    for (const char *at = match_equals; *at != '\0';) {
        size_t size = *at == '{' ? strspn(at + 1, key_characters) : 0;
        if (size == 0 || at[1 + size] != '}') {
            pen_buf_putc(&text, *at++);
            continue;
        }
        PEN_CLEANUP(pen_free) char *key = strndup(at + 1, size);
        if (key == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for a key");
        const char *value = pen_action_configuration(action, key);
        if (value == NULL)
            return pen_fail(err, PEN_ENOTFOUND,
                            "the configuration of action '%s' has no key '%s', which matchEquals "
                            "asks for by {%s}",
                            action->name, key, key);
        pen_buf_puts(&text, value);
        at += size + 2;
    }
    pen_buf_puts(&text, "");
    int rc = pen_buf_ok(&text, err);
    if (rc < 0)
        return rc;
    *ret_text = text.size > 0 ? pen_buf_take_text(&text) : strdup("");
    return *ret_text == NULL ? pen_fail(err, PEN_ENOMEM, "no memory for a filter") : 0;
}
