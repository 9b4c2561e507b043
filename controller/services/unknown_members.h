/* controller/services/unknown_members.h - what of a request the catalogue does not know
 *
 * Clients may send more than we know, so such members are ignored (validate_input.h). A person who
 * has mistyped one wants to hear of it.
 */
#ifndef PEN_CONTROLLER_SERVICES_UNKNOWN_MEMBERS_H
#define PEN_CONTROLLER_SERVICES_UNKNOWN_MEMBERS_H

#include <jansson.h>

#include "common/base/error.h"
#include "controller/services/validate_input.h"

enum { PEN_UNKNOWN_MEMBERS_MAX = 50 }; /* of more the first are listed */

/* Append to ret_list, for each member of body that the operation's input does not have at its
 * place, {"pointer": where (RFC 6901), "nearest": the member that was probably meant, if any}. What
 * has the wrong JSON type is not looked into. Keys of maps are no members. Errors: PEN_ENOMEM. */
int pen_api_unknown_members(const struct pen_api_operation *operation, json_t *body,
                            json_t *ret_list, struct pen_error *err);

#endif
