/* cli/cli.h - what a command of `penstock` has at hand
 *
 *     words of argv -> a row of the table (commands.h) -> its run() -> exit code
 *
 * run() gets the parsed words here, talks to the controller through pen_cli_call(), prints, and
 * returns 0 or a negative code with err filled; an outcome that is no error (the execution failed,
 * is still waiting...) goes to exit_code. The error's code becomes the exit code otherwise.
 */
#ifndef PEN_CLI_CLI_H
#define PEN_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/client.h"
#include "cli/settings.h"
#include "common/base/error.h"

/* Exit codes: a contract with scripts. */
enum {
    PEN_EXIT_OK = 0,
    PEN_EXIT_FAILED = 1,      /* the execution failed or was stopped; any other failure */
    PEN_EXIT_USAGE = 2,       /* wrong words, or input the controller refuses */
    PEN_EXIT_NOT_FOUND = 3,   /* no such pipeline, execution, agent... */
    PEN_EXIT_DENIED = 4,      /* no credentials, wrong ones, or not allowed */
    PEN_EXIT_WAITING = 5,     /* not finished when the time was over */
    PEN_EXIT_SUPERSEDED = 6,  /* a newer execution took the place */
    PEN_EXIT_UNAVAILABLE = 7, /* the controller cannot be reached, or not now */
    PEN_EXIT_INTERRUPTED = 130,
};

struct pen_cli_option {
    const char *name;  /* "--summary" */
    char letter;       /* 'f' for -f, 0: none */
    const char *value; /* "TEXT"; NULL: takes no value */
    const char *help;
};

struct pen_cli;

/* One command. Tables of options and of commands end with a row without a name. */
struct pen_cli_command {
    const char *name;      /* "pipeline create" */
    const char *arguments; /* "NAME [STAGE ACTION]" */
    const char *summary;   /* one line, without a full stop */
    const char *details;   /* sentences, or NULL */
    const char *example;   /* one or more command lines */
    size_t arguments_min;
    size_t arguments_max;
    const struct pen_cli_option *options; /* NULL: none */
    int (*run)(struct pen_cli *cli, struct pen_error *err);
};

struct pen_cli_given {
    const struct pen_cli_option *option;
    const char *value;
};

/* How many words one command may have made of others; see pen_cli_keep. */
enum { PEN_CLI_KEPT_MAX = 128 };

struct pen_cli {
    const struct pen_cli_command *command;
    const char **arguments; /* words that are no options, behind the command's name */
    size_t arguments_count;
    struct pen_cli_given *given;
    size_t given_count;
    bool json;     /* --output json */
    bool terminal; /* standard output is a terminal that can move its cursor */
    bool color;    /* ... and wants colours */
    int exit_code;
    char execution_id[37]; /* what the beginning of an id stood for; see execution_id.h */
    char *kept[PEN_CLI_KEPT_MAX];
    size_t kept_count;
    struct pen_settings settings;
    struct pen_client *client;
};

/* Runs the program; returns its exit code. */
int pen_cli_main(int argc, char **argv);

/* The value of an option ("" for one without value), NULL when it was not given. With index, the
 * index-th time it was given. */
const char *pen_cli_option(const struct pen_cli *cli, const char *name);
const char *pen_cli_option_at(const struct pen_cli *cli, const char *name, size_t index);

/* The index-th argument, NULL when there are fewer. */
const char *pen_cli_argument(const struct pen_cli *cli, size_t index);

/* A copy of a word that lives as long as the program runs. NULL: PEN_ENOMEM is in err. */
const char *pen_cli_keep(struct pen_cli *cli, const char *word, size_t size, struct pen_error *err);

/* Find the settings and make the client, once; the calls below do it by themselves. */
int pen_cli_open(struct pen_cli *cli, struct pen_error *err);

/* Call an operation and take over the reference to input. Errors: as pen_client_call. */
int pen_cli_call(struct pen_cli *cli, enum pen_service service, const char *operation,
                 json_t *input, json_t **ret_output, struct pen_error *err);

/* Call an operation and put the pages' list `member` into one answer. */
int pen_cli_call_pages(struct pen_cli *cli, enum pen_service service, const char *operation,
                       json_t *input, const char *member, json_t **ret_output,
                       struct pen_error *err);

/* Call an operation, print its answer as JSON, or `done` as a sentence for people. */
int pen_cli_call_done(struct pen_cli *cli, enum pen_service service, const char *operation,
                      json_t *input, struct pen_error *err, const char *done, ...)
    __attribute__((format(printf, 6, 7)));

/* The exit code that belongs to an error's code. */
int pen_cli_exit_code(int code);

#endif
