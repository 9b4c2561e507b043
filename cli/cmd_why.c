/* penstock why: every reason why something does not run */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/reason.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/io/clock.h"

/* 8-4-4-4-12 hexadecimal digits: as ids of executions are, and names of pipelines hardly. */
static bool is_execution_id(const char *text)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (strlen(text) != sizeof shape - 1)
        return false;
    for (size_t i = 0; shape[i] != '\0'; i++)
        if (shape[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    return true;
}

int pen_cmd_why(struct pen_cli *cli, struct pen_error *err)
{
    const char *what = pen_cli_argument(cli, 0);
    json_t *input =
        json_pack("{s:s}", is_execution_id(what) ? "executionId" : "pipelineName", what);
    json_t *output = NULL;
    pen_input_set(input, "executionId", pen_cli_option(cli, "--execution"));
    int rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "Explain", input, &output, err);
    if (rc < 0)
        return rc;
    json_t *reasons = pen_json_list(output, "reasons");
    if (cli->json) {
        pen_print_json(output);
    } else {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        size_t index;
        json_t *reason;
        json_array_foreach(reasons, index, reason)
            pen_reason_put(reason, pen_clock_wall_ms(), &text);
        if (json_array_size(reasons) == 0)
            pen_buf_puts(&text, "nothing waits\n");
        (void)fputs(pen_buf_text(&text), stdout);
    }
    json_decref(output);
    return 0;
}
