/* controller/services/page.h - page tokens: opaque, and good for one list only
 *
 * A token is base64url of a checksum and the place where the next page begins. The checksum is
 * keyed and covers the operation and its filter: a token of another list, or a changed one, is
 * InvalidNextTokenException. It holds no secret and outlives a restart.
 */
#ifndef PEN_CONTROLLER_SERVICES_PAGE_H
#define PEN_CONTROLLER_SERVICES_PAGE_H

#include "common/base/buf.h"
#include "controller/services/call.h"

enum {
    PEN_PAGE_PLACE_MAX = 512, /* characters */

    /* Bytes of the rows of one page. Their texts may grow to six times that in JSON, and a client
     * takes PEN_LIMIT_HTTP_ANSWER_BYTES. */
    PEN_PAGE_ROWS_BYTES = 1024 * 1024,
};

/* Put nextToken into the output. filter: what else was asked, as text, the same in each page's
 * request. */
void pen_page_put(struct pen_call *call, const char *filter, const char *place);

/* The place of the input's nextToken; empty when there is none.
 * Errors: PEN_EINVAL with InvalidNextTokenException, PEN_ENOMEM. */
int pen_page_get(const struct pen_call *call, const char *filter, struct pen_buf *ret_place,
                 struct pen_error *err);

/* As above for places that are a number above 0; *ret_place is 0 when there is no token. */
int pen_page_get_number(const struct pen_call *call, const char *filter, uint64_t *ret_place,
                        struct pen_error *err);

/* The input's maxResults, at most limit; limit when absent. */
size_t pen_page_size(const struct pen_call *call, size_t limit);

#endif
