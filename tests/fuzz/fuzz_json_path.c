/* A path, a zero byte, a document: as a webhook's filter and the body of a call.
 *
 * Whatever comes, parsing ends with a path or an error of its contract; a path that was taken is
 * compared with the document in bounded time, and what matches a text also leads somewhere.
 */
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "common/base/check.h"
#include "common/wire/json_path.h"
#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[PEN_JSON_PATH_SIZE_MAX + 2];
    const uint8_t *end = memchr(data, 0, size);
    size_t length = end == NULL ? size : (size_t)(end - data);
    size_t taken = length < sizeof text - 1 ? length : sizeof text - 1;
    memcpy(text, data, taken);
    text[taken] = '\0';
    struct pen_json_path path;
    struct pen_error err;
    int rc = pen_json_path_parse(text, &path, &err);
    CHECK(rc == 0 || rc == PEN_EINVAL || rc == PEN_ELIMIT);
    json_t *document = NULL;
    if (rc < 0 || end == NULL ||
        pen_json_parse(end + 1, size - length - 1, 65536, &document, &err) < 0)
        return 0;
    CHECK(path.steps_count <= PEN_JSON_PATH_STEPS_MAX);
    bool leads = pen_json_path_matches(&path, document, NULL);
    CHECK(IMPLIES(pen_json_path_matches(&path, document, "refs/heads/main"), leads));
    CHECK(IMPLIES(pen_json_path_matches(&path, document, "1"), leads));
    json_decref(document);
    return 0;
}
