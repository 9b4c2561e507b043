/* CreateConnection, ListConnections, DeleteConnection
 *
 * Secrets are sealed here, before anything else sees them, and are never shown again.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/post/post.h"
#include "controller/services/output.h"
#include "controller/services/page.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/read.h"

enum { CONNECTIONS_PAGE_MAX = 1000 };

static int bad_url(struct pen_error *err, const char *why)
{
    return pen_fail_api(err, PEN_EINVAL, "ValidationException", "baseUrl %s", why);
}

static bool has_known_scheme(const char *url)
{
    static const char *const schemes[] = {"https://", "http://", "ssh://", "git://", "file:///"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (pen_str_starts_with(url, schemes[i]) && url[strlen(schemes[i])] != '\0')
            return true;
    }
    return url[0] == '/';
}

/* What could be taken for an option, a helper or another's secret goes no further. */
static int check_url(const char *url, struct pen_error *err)
{
    for (const char *at = url; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return bad_url(err, "must not hold blanks or control characters");
    }
    if (!has_known_scheme(url))
        return bad_url(err, "must begin with https://, http://, ssh://, git://, file:/// or be an "
                            "absolute path");
    const char *host = strstr(url, "://");
    const char *at_sign = host == NULL ? NULL : strchr(host + 3, '@');
    const char *colon = host == NULL ? NULL : strchr(host + 3, ':');
    const char *slash = host == NULL ? NULL : strchr(host + 3, '/');
    bool in_authority = at_sign != NULL && (slash == NULL || at_sign < slash);
    if (in_authority && colon != NULL && colon < at_sign)
        return bad_url(err, "must not hold a password: give username and secret");
    if (host != NULL && host[3] == '-')
        return bad_url(err, "must not have a host that begins with '-'");
    return 0;
}

static int seal(const struct pen_call *call, const char *member, const char *context,
                protobuf_c_boolean *ret_has, ProtobufCBinaryData *ret_sealed, struct pen_error *err)
{
    const char *secret = pen_in_string(call->input, member);
    if (secret == NULL)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf sealed = {0};
    int rc = pen_seal(call->services->sealer, context, secret, strlen(secret), &sealed, err);
    if (rc < 0 || (rc = pen_buf_ok(&sealed, err)) < 0)
        return rc;
    ret_sealed->len = sealed.size;
    ret_sealed->data = (uint8_t *)pen_buf_take_text(&sealed);
    *ret_has = true;
    return 0;
}

/* The core answers with the ARN, which ends in the id. */
static int connection_made(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    if (reply->id == NULL)
        return pen_fail(err, PEN_ECORRUPT, "the core has not named the new connection");
    const char *slash = strrchr(reply->id, '/');
    pen_put_string(call, pen_output(call), "connectionArn", reply->id);
    pen_put_string(call, pen_output(call), "connectionId", slash == NULL ? reply->id : slash + 1);
    return 0;
}

int pen_create_connection(struct pen_call *call, struct pen_error *err)
{
    int rc = check_url(pen_in_string(call->input, "baseUrl"), err);
    if (rc < 0)
        return rc;
    Pen__CreateConnection *create = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_CREATE_CONNECTION,
                                      &pen__create_connection__descriptor, &create);
    Pen__ConnectionRow *row = malloc(sizeof *row);
    if (input == NULL || row == NULL) {
        free(row);
        return pen_fail(err, PEN_ENOMEM, "no memory for a connection");
    }
    pen__connection_row__init(row);
    create->connection = row;
    if (!pen_str_set(&row->name, pen_in_string(call->input, "connectionName")) ||
        !pen_str_set(&row->base_url, pen_in_string(call->input, "baseUrl")) ||
        !pen_str_set(&row->username, pen_in_string(call->input, "username")))
        return pen_fail(err, PEN_ENOMEM, "no memory for a connection");
    if ((rc = seal(call, "secret", PEN_CONNECTION_SEAL_CONTEXT, &row->has_sealed_secret,
                   &row->sealed_secret, err)) < 0 ||
        (rc = seal(call, "hookSecret", PEN_CONNECTION_HOOK_SEAL_CONTEXT,
                   &row->has_sealed_hook_secret, &row->sealed_hook_secret, err)) < 0)
        return rc;
    return pen_call_post(call, TAKE_PTR(input), connection_made, err);
}

int pen_delete_connection(struct pen_call *call, struct pen_error *err)
{
    Pen__DeleteConnection *delete = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_DELETE_CONNECTION,
                                      &pen__delete_connection__descriptor, &delete);
    if (input != NULL && !pen_str_set(&delete->id, pen_in_string(call->input, "connectionArn")))
        pen_message_destroy(&input);
    return pen_call_post(call, input, pen_reply_nothing, err);
}

static void put_connection(struct pen_call *call, json_t *list, const Pen__ConnectionRow *row)
{
    json_t *connection = pen_add_object(call, list);
    pen_put_string(call, connection, "connectionName", row->name);
    pen_put_string(call, connection, "connectionArn", row->arn);
    pen_put_string(call, connection, "connectionId", row->id);
    pen_put_string(call, connection, "baseUrl", row->base_url);
    pen_put_string(call, connection, "username", row->username);
    pen_put_boolean(call, connection, "hasSecret", row->has_sealed_secret);
    pen_put_boolean(call, connection, "hasHookSecret", row->has_sealed_hook_secret);
    pen_put_time(call, connection, "createdAt", row->created_ms);
    pen_put_string(call, connection, "createdBy", row->created_by);
}

int pen_list_connections(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf after = {0};
    int rc = pen_page_get(call, "", &after, err);
    if (rc < 0)
        return rc;
    size_t size = pen_page_size(call, CONNECTIONS_PAGE_MAX);
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_CONNECTION,
                                         .after_key = after.size > 0 ? pen_buf_text(&after) : NULL,
                                         .limit = size + 1};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    if ((rc = pen_read_list(call, &query, &rows, err)) < 0)
        return rc;
    json_t *list = pen_put_list(call, pen_output(call), "connections");
    for (size_t i = 0; i < rows.count && i < size; i++)
        put_connection(call, list, (const Pen__ConnectionRow *)rows.rows[i]);
    if (rows.count > size)
        pen_page_put(call, "", ((const Pen__ConnectionRow *)rows.rows[size - 1])->id);
    return 0;
}
