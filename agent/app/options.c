#include "agent/app/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session/session.h"
static const char usage[] =
    "usage: penstock-agent --data DIR [--controller HOST:PORT] [--token TOKEN|@FILE]\n"
    "                      [--name NAME] [--slots N] [--once] [--verbose]\n"
    "\n"
    "Runs the actions that a controller gives to this host. The first start needs the\n"
    "controller's address and a token (penstock agent token); later starts only DIR.\n"
    "\n"
    "  --token TOKEN  or @FILE, or the variable PENSTOCK_TOKEN, which ps does not show;\n"
    "                 not looked at once this host has joined\n"
    "  --slots N      actions at a time (default: as the token says, else the number of CPUs)\n"
    "  --once         take one action, deliver its result, exit with 0 if it succeeded\n"
    "  --version      print the version\n"
    "\n"
    "example: penstock-agent --controller ci.example.com:7420 --token @token --data "
    "/var/lib/penstock-agent\n";

static int wrong(const char *message, const char *value)
{
    (void)fprintf(stderr, "penstock-agent: %s%s%s\nsee penstock-agent --help\n", message,
                  value == NULL ? "" : ": ", value == NULL ? "" : value);
    return PEN_OPTIONS_WRONG;
}

static int token_set(struct pen_agent_options *options, const char *text)
{
    free(options->token);
    options->token = strdup(text);
    return options->token == NULL ? wrong("no memory for the token", NULL) : PEN_OPTIONS_RUN;
}

static bool parse_slots(const char *text, uint32_t *ret_slots)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end != 0 || number < 1 || number > PEN_SLOTS_MAX)
        return false;
    *ret_slots = (uint32_t)number;
    return true;
}

/* One option. */
static int take(struct pen_agent_options *options, int option)
{
    switch (option) {
    case 'c':
        options->controller = optarg;
        return PEN_OPTIONS_RUN;
    case 't':
        if (token_set(options, optarg) != PEN_OPTIONS_RUN)
            return PEN_OPTIONS_WRONG;
        if (optarg[0] != '@')
            explicit_bzero(optarg, strlen(optarg)); /* ps shows argv to everybody */
        return PEN_OPTIONS_RUN;
    case 'd':
        options->data = optarg;
        return PEN_OPTIONS_RUN;
    case 'n':
        options->name = optarg;
        return PEN_OPTIONS_RUN;
    case 's':
        return parse_slots(optarg, &options->slots) ? PEN_OPTIONS_RUN
                                                    : wrong("--slots is not in 1..1024", optarg);
    case 'o':
        options->once = true;
        return PEN_OPTIONS_RUN;
    case 'v':
        options->verbose = true;
        return PEN_OPTIONS_RUN;
    case 'h':
        (void)fputs(usage, stdout);
        return PEN_OPTIONS_SHOWN;
    case 'V':
        (void)printf("penstock-agent %s\n", PEN_VERSION);
        return PEN_OPTIONS_SHOWN;
    default: /* getopt has said what is wrong */
        (void)fputs("see penstock-agent --help\n", stderr);
        return PEN_OPTIONS_WRONG;
    }
}

enum pen_agent_options_verdict pen_agent_options_read(int argc, char **argv,
                                                      struct pen_agent_options *ret_options)
{
    static const struct option names[] = {
        {"controller", required_argument, NULL, 'c'}, {"token", required_argument, NULL, 't'},
        {"data", required_argument, NULL, 'd'},       {"name", required_argument, NULL, 'n'},
        {"slots", required_argument, NULL, 's'},      {"once", no_argument, NULL, 'o'},
        {"verbose", no_argument, NULL, 'v'},          {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},          {0},
    };
    struct pen_agent_options options = {0};
    int verdict = PEN_OPTIONS_RUN;
    int option;
    while (verdict == PEN_OPTIONS_RUN && (option = getopt_long(argc, argv, "", names, NULL)) != -1)
        verdict = take(&options, option);
    const char *variable = getenv("PENSTOCK_TOKEN");
    if (verdict == PEN_OPTIONS_RUN && options.token == NULL && variable != NULL)
        verdict = token_set(&options, variable);
    (void)unsetenv("PENSTOCK_TOKEN");
    if (verdict == PEN_OPTIONS_RUN && optind < argc)
        verdict = wrong("unexpected argument", argv[optind]);
    if (verdict == PEN_OPTIONS_RUN && options.data == NULL)
        verdict = wrong("--data is missing", NULL);
    *ret_options = options;
    return (enum pen_agent_options_verdict)verdict;
}

void pen_agent_options_release(struct pen_agent_options *self)
{
    if (self->token != NULL)
        explicit_bzero(self->token, strlen(self->token));
    free(self->token);
    self->token = NULL;
}
