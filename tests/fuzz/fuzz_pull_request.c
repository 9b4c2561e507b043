/* The body of a pull request event: the first byte says of which git server.
 *
 * Whatever comes, reading ends with a verdict or an error of its contract; what is taken is
 * complete and within its limits.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/wire/wire.h"
#include "controller/services/pull_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *body = NULL;
    struct pen_error err;
    if (size == 0 || pen_json_parse(data + 1, size - 1, 65536, &body, &err) < 0)
        return 0;
    Pen__PullRequestNotified notified = PEN__PULL_REQUEST_NOTIFIED__INIT;
    int rc = pen_pull_request_read(data[0] == 'l' ? PEN_GIT_SERVER_GITLAB : PEN_GIT_SERVER_GITHUB,
                                   body, &notified, &err);
    CHECK(rc == 0 || rc == 1 || rc == PEN_EINVAL);
    const Pen__PullRequest *pull_request = notified.pull_request;
    if (rc == 1)
        CHECK(notified.repository != NULL && pull_request->number > 0 &&
              pull_request->change >= PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_OPEN &&
              pull_request->change <= PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED &&
              pull_request->source_branch[0] != '-' && strlen(pull_request->title) <= 1000 &&
              strlen(pull_request->destination_branch) <= 255);
    Pen__PullRequestNotified *copy = NULL;
    CHECK(pen_wire_copy(&notified, (ProtobufCMessage **)&copy, NULL) == 0);
    pen_message_destroy(&copy);
    pen_message_destroy(&notified.pull_request);
    free(notified.repository);
    json_decref(body);
    return 0;
}
