#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"

enum { LINE_WIDTH = 78 };

/* Print text in lines, each after `indent` blanks; the first one begins at `column`. */
static void print_wrapped(const char *text, size_t indent, size_t column)
{
    while (*text != 0) {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + word > LINE_WIDTH) {
            (void)putchar('\n');
            column = 0;
        }
        if (column < indent)
            column += (size_t)printf("%*s", (int)(indent - column), "");
        else if (column > indent)
            column += (size_t)printf(" ");
        column += (size_t)printf("%.*s", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
    (void)putchar('\n');
}

static void print_options(const struct pen_cli_option *options)
{
    for (; options->name != NULL; options++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf left = {0};
        if (options->letter != 0)
            pen_buf_printf(&left, "-%c, ", options->letter);
        pen_buf_printf(&left, "%s%s%s", options->name, options->value == NULL ? "" : " ",
                       options->value == NULL ? "" : options->value);
        size_t column = (size_t)printf("  %-27s ", pen_buf_text(&left));
        print_wrapped(options->help, 30, column);
    }
}

static void print_row(const struct pen_cli_command *row)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf left = {0};
    pen_buf_printf(&left, "%s %s", row->name, row->arguments);
    size_t column = (size_t)printf("  %-34s ", pen_buf_text(&left));
    if (column > 37) { /* too long to share the line */
        (void)putchar('\n');
        column = 0;
    }
    print_wrapped(row->summary, 37, column);
}

void pen_cli_help_all(void)
{
    (void)printf("penstock: continuous delivery on your own machines\n\n"
                 "usage: penstock [OPTIONS] COMMAND ...\n\n");
    for (const struct pen_cli_command *row = pen_cli_commands; row->name != NULL; row++)
        print_row(row);
    (void)printf("\nOptions of every command:\n");
    print_options(pen_cli_global_options);
    (void)printf("\n"
                 "The endpoint comes from --endpoint, PENSTOCK_ENDPOINT, AWS_ENDPOINT_URL,\n"
                 "'endpoint = URL' in ~/.config/penstock/config, else http://127.0.0.1:7480.\n"
                 "Credentials come from --profile, the file PENSTOCK_CREDENTIALS names, the AWS\n"
                 "variables, then profile penstock or default of ~/.aws/credentials.\n"
                 "\n"
                 "Exit codes: 0 ok, 1 execution failed, 2 usage or refused input, 3 not found,\n"
                 "4 denied, 5 still waiting, 6 superseded, 7 unavailable, 130 interrupted.\n"
                 "With --output json errors are JSON on standard error: kind, message, exitCode.\n"
                 "Times are in UTC, with a Z.\n"
                 "\n"
                 "'penstock help COMMAND' says more, with an example.\n");
}

bool pen_cli_help_group(const char *word)
{
    bool any = false;
    size_t length = strlen(word);
    for (const struct pen_cli_command *row = pen_cli_commands; row->name != NULL; row++) {
        if (strncmp(row->name, word, length) != 0 || row->name[length] != ' ')
            continue;
        if (!any)
            (void)printf("usage: penstock %s COMMAND ...\n\n", word);
        any = true;
        print_row(row);
    }
    if (any)
        (void)printf("\n'penstock help %s COMMAND' says more, with an example.\n", word);
    return any;
}

void pen_cli_help_command(const struct pen_cli_command *command)
{
    (void)printf("usage: penstock %s%s%s%s\n\n", command->name,
                 command->arguments[0] == 0 ? "" : " ", command->arguments,
                 command->options == NULL ? "" : " [OPTIONS]");
    (void)printf("%s.\n", command->summary);
    if (command->details != NULL) {
        (void)putchar('\n');
        print_wrapped(command->details, 0, 0);
    }
    if (strstr(command->arguments, "ACTION") != NULL)
        (void)printf("\nAn action can be named STAGE/ACTION, as 'penstock watch' prints it.\n");
    if (command->options != NULL) {
        (void)printf("\nOptions:\n");
        print_options(command->options);
    }
    (void)printf("\nOptions of every command:\n");
    print_options(pen_cli_global_options);
    (void)printf("\nExample:\n");
    for (const char *line = command->example; *line != 0;) {
        size_t length = strcspn(line, "\n");
        (void)printf("  %.*s\n", (int)length, line);
        line += length + (line[length] == '\n' ? 1 : 0);
    }
}
