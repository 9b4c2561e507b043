/* controller/model/webhook.h - what the filters of a webhook compare with */
#ifndef PEN_CONTROLLER_MODEL_WEBHOOK_H
#define PEN_CONTROLLER_MODEL_WEBHOOK_H

#include "common/base/error.h"
#include "pipeline.pb-c.h"

/* matchEquals with each {Key} replaced by the value of that key in the action's configuration, from
 * malloc. Braces around anything but letters and digits stand for themselves. Errors: PEN_ENOTFOUND
 * (the action has no such key; err names it), PEN_ENOMEM. */
int pen_webhook_expand(const char *match_equals, const Pen__ActionDeclaration *action,
                       char **ret_text, struct pen_error *err);

#endif
