/* controller/model/variables.h - references #{namespace.key} in configurations and commands
 *
 * A reference begins with "#{" and ends with the next "}". Several may stand in one text; they do
 * not nest. "#" without "{" is an ordinary character. What a reference expands to is not looked at
 * again.
 */
#ifndef PEN_CONTROLLER_MODEL_VARIABLES_H
#define PEN_CONTROLLER_MODEL_VARIABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/limits.h"
#include "pipeline.pb-c.h"

/* Namespaces that are always there. */
#define PEN_NAMESPACE_EXECUTION "codepipeline" /* key PipelineExecutionId */
#define PEN_NAMESPACE_PIPELINE  "variables"    /* the pipeline's own variables */

/* The value of a variable: point *ret_value at it (valid until the next call) and return 0, or fail
 * with PEN_ENOTFOUND. */
typedef int pen_variable_lookup(void *context, const char *namespace_name, const char *key,
                                const char **ret_value, struct pen_error *err);

/* Append text with every reference replaced. On failure ret_text is as it was. Errors: PEN_EINVAL
 * (a malformed reference), PEN_ELIMIT (more than PEN_VARIABLES_EXPANDED_MAX bytes in ret_text),
 * PEN_ENOMEM, and those of lookup. */
int pen_variables_expand(const char *text, pen_variable_lookup *lookup, void *context,
                         struct pen_buf *ret_text, struct pen_error *err);

/* Call each for every reference of text, in order. Errors: PEN_EINVAL, and those of each. */
int pen_variables_each(const char *text,
                       int (*each)(void *context, const char *namespace_name, const char *key,
                                   struct pen_error *err),
                       void *context, struct pen_error *err);

/* Whether text has a reference, well-formed or not: a quick way past plain texts. */
bool pen_variables_present(const char *text);

/* Check namespaces and references of a whole declaration: namespaces are unique, differ from
 * artifact names and reserved words, and each reference names a namespace whose action runs for
 * certain before. Also the pipeline's own variables: unique names. Errors: PEN_EINVAL with
 * InvalidActionDeclarationException or InvalidStructureException; PEN_ENOMEM. */
int pen_variables_check(const Pen__PipelineDeclaration *declaration, struct pen_error *err);

#endif
