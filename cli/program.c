/* The program of cli.h: words of argv to a command of the table, its errors to sentences and exit
 * codes */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/execution_id.h"
#include "cli/meant.h"
#include "cli/suggest.h"
#include "common/base/str.h"

/* Room for what meant.h adds to the words of argv. */
enum { ARGUMENTS_ADDED = 8 };

/* ---- words */

static const struct pen_cli_option *option_find(const struct pen_cli_option *options,
                                                const char *name, size_t length, char letter)
{
    for (; options != NULL && options->name != NULL; options++) {
        bool same = name != NULL
                        ? strlen(options->name) == length && !strncmp(options->name, name, length)
                        : options->letter == letter;
        if (same)
            return options;
    }
    return NULL;
}

static int usage_error(const struct pen_cli *cli, struct pen_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int usage_error(const struct pen_cli *cli, struct pen_error *err, const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    bool one = cli->command != NULL;
    return pen_fail(err, PEN_EINVAL, "%s; see 'penstock help%s%s'", message, one ? " " : "",
                    one ? cli->command->name : "");
}

static int unknown_option(const struct pen_cli *cli, const char *word, size_t length,
                          struct pen_error *err)
{
    const char *nearest = pen_suggest_option(cli->command, word, length);
    return usage_error(cli, err, "there is no option %.*s%s%s%s", (int)length, word,
                       nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                       nearest == NULL ? "" : "?");
}

/* Take the option at argv[*index] with its value, and move *index to its last word. */
static int option_take(struct pen_cli *cli, int argc, char **argv, int *index,
                       struct pen_error *err)
{
    const char *word = argv[*index];
    bool is_long = word[1] == '-';
    const char *equals = is_long ? strchr(word, '=') : NULL;
    size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word);
    const char *name = is_long ? word : NULL;
    const struct pen_cli_option *own = cli->command == NULL ? NULL : cli->command->options;
    const struct pen_cli_option *option = option_find(own, name, length, word[1]);
    if (option == NULL)
        option = option_find(pen_cli_global_options, name, length, word[1]);
    if (option == NULL)
        return unknown_option(cli, word, length, err);
    const char *value = "";
    if (option->value == NULL) {
        if (equals != NULL || (!is_long && word[2] != 0))
            return usage_error(cli, err, "option %s takes no value", option->name);
    } else if (equals != NULL) {
        value = equals + 1;
    } else if (!is_long && word[2] != 0) {
        value = word + 2;
    } else if (*index + 1 < argc) {
        *index += 1;
        value = argv[*index];
    } else {
        return usage_error(cli, err, "option %s needs a value: %s", option->name, option->value);
    }
    cli->given[cli->given_count++] = (struct pen_cli_given){option, value};
    return 0;
}

/* Sort the words into command, options and arguments. */
static int words_parse(struct pen_cli *cli, int argc, char **argv, struct pen_error *err)
{
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!options_end && strcmp(word, "--") == 0) {
            options_end = true;
            continue;
        }
        if (!options_end && word[0] == '-' && word[1] != 0) {
            int rc = option_take(cli, argc, argv, &i, err);
            if (rc < 0)
                return rc;
            continue;
        }
        if (cli->command != NULL) {
            cli->arguments[cli->arguments_count++] = word;
            continue;
        }
        size_t words = 0;
        cli->command = pen_cli_find(word, i + 1 < argc ? argv[i + 1] : NULL, &words);
        if (cli->command == NULL) { /* perhaps the first half of one: for help, and for the error */
            for (; i < argc; i++)
                cli->arguments[cli->arguments_count++] = argv[i];
            return 0;
        }
        i += (int)words - 1;
    }
    return 0;
}

/* ---- the program */

static int output_choose(struct pen_cli *cli, struct pen_error *err)
{
    const char *output = pen_cli_option(cli, "--output");
    if (output != NULL && strcmp(output, "json") != 0 && strcmp(output, "text") != 0)
        return usage_error(cli, err, "--output is text or json, not '%.32s'", output);
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    cli->json = output != NULL && strcmp(output, "json") == 0;
    cli->terminal = isatty(STDOUT_FILENO) == 1 && terminal != NULL && terminal[0] != '\0' &&
                    strcmp(terminal, "dumb") != 0;
    cli->color =
        cli->terminal && pen_str_empty(no_color) && pen_cli_option(cli, "--no-color") == NULL;
    return 0;
}

/* What has no row in the table: no command, half a command, an unknown one. */
static int without_command(struct pen_cli *cli, struct pen_error *err)
{
    const char *word = pen_cli_argument(cli, 0);
    const char *second = pen_cli_argument(cli, 1);
    if (word == NULL) {
        pen_cli_help_all();
        cli->exit_code = pen_cli_option(cli, "--help") != NULL ? PEN_EXIT_OK : PEN_EXIT_USAGE;
        return 0;
    }
    bool asked = second == NULL || strcmp(second, "--help") == 0 || strcmp(second, "-h") == 0;
    if (asked && pen_cli_help_group(word)) {
        cli->exit_code = second != NULL ? PEN_EXIT_OK : PEN_EXIT_USAGE;
        return 0;
    }
    if (second != NULL && second[0] == '-') /* an option: no part of the command */
        second = NULL;
    const char *nearest = pen_suggest_command(word, second);
    return usage_error(cli, err, "there is no command '%.32s%s%.32s'%s%s%s", word,
                       second == NULL ? "" : " ", second == NULL ? "" : second,
                       nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                       nearest == NULL ? "" : "'?");
}

static int run(struct pen_cli *cli, int argc, char **argv, struct pen_error *err)
{
    int rc = words_parse(cli, argc, argv, err);
    if (rc < 0)
        return rc;
    if (cli->command == NULL)
        return without_command(cli, err);
    if (pen_cli_option(cli, "--help") != NULL) {
        pen_cli_help_command(cli->command);
        return 0;
    }
    if ((rc = pen_meant_split(cli, err)) < 0)
        return rc;
    if (cli->arguments_count < cli->command->arguments_min)
        return usage_error(cli, err, "%s needs %s", cli->command->name, cli->command->arguments);
    if (cli->arguments_count > cli->command->arguments_max)
        return usage_error(cli, err, "'%.64s' is one word too many",
                           cli->arguments[cli->command->arguments_max]);
    rc = output_choose(cli, err);
    if (rc == 0)
        rc = pen_meant_complete(cli, err);
    if (rc == 0)
        rc = pen_execution_id_complete(cli, err);
    if (rc == 0)
        rc = cli->command->run(cli, err);
    if (rc == PEN_ENOTFOUND)
        pen_suggest_name(cli, err);
    return rc;
}

/* Whether --output json was asked for, also when the words were too wrong to be parsed. */
static bool wants_json(int argc, char **argv)
{
    bool json = false;
    for (int i = 1; i < argc && argv[i] != NULL && strcmp(argv[i], "--") != 0; i++) {
        const char *value = NULL;
        if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0)
            value = i + 1 < argc ? argv[i + 1] : "";
        else if (strncmp(argv[i], "--output=", 9) == 0)
            value = argv[i] + 9;
        else if (strncmp(argv[i], "-o", 2) == 0)
            value = argv[i] + 2;
        if (value != NULL)
            json = strcmp(value, "json") == 0;
    }
    return json;
}

/* One word for scripts; as the exit code, but for what only this program has. */
static const char *kind_of(int exit_code)
{
    switch (exit_code) {
    case PEN_EXIT_USAGE:
        return "refused";
    case PEN_EXIT_NOT_FOUND:
        return "notFound";
    case PEN_EXIT_DENIED:
        return "denied";
    case PEN_EXIT_UNAVAILABLE:
        return "unavailable";
    default:
        return "failed";
    }
}

static void report(const struct pen_error *err, int exit_code, bool json)
{
    json_t *object = json ? json_pack("{s:{s:s, s:s, s:i}}", "error", "kind", kind_of(exit_code),
                                      "message", err->message, "exitCode", exit_code)
                          : NULL;
    if (object == NULL) {
        (void)fprintf(stderr, "penstock: %s\n", err->message);
        return;
    }
    (void)json_dumpf(object, stderr, JSON_INDENT(4));
    (void)fputc('\n', stderr);
    json_decref(object);
}

int pen_cli_main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        (void)puts("penstock " PEN_VERSION);
        return PEN_EXIT_OK;
    }
    struct pen_cli cli = {0};
    struct pen_error err = {0};
    cli.arguments = calloc((size_t)argc + ARGUMENTS_ADDED, sizeof *cli.arguments);
    cli.given = calloc((size_t)argc + 1, sizeof *cli.given);
    int rc = cli.arguments == NULL || cli.given == NULL ? pen_fail(&err, PEN_ENOMEM, "no memory")
                                                        : run(&cli, argc, argv, &err);
    if (fflush(stdout) != 0 && rc == 0)
        rc = pen_fail(&err, PEN_EIO, "cannot write the output");
    bool was_interrupted = cli.client != NULL && pen_client_interrupted(cli.client);
    if (rc < 0 && !was_interrupted)
        report(&err, pen_cli_exit_code(rc), wants_json(argc, argv));
    pen_client_destroy(&cli.client);
    pen_settings_release(&cli.settings);
    for (size_t i = 0; i < cli.kept_count; i++)
        free(cli.kept[i]);
    free(cli.arguments);
    free(cli.given);
    if (was_interrupted)
        return PEN_EXIT_INTERRUPTED;
    return rc < 0 ? pen_cli_exit_code(rc) : cli.exit_code;
}
