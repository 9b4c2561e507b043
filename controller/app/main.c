/* penstock-controller: options, signals, exit status. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/config/config.h"
#include "common/io/file.h"
#include "common/io/proc.h"
#include "common/log/log.h"
#include "controller/app/controller.h"
#include "controller/app/settings.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, OPTION_KEYS = 256, OPTION_SHOW_KEYS };

static const char usage[] =
    "usage: penstock-controller --data DIR [--http ADDR:PORT] [--control ADDR:PORT]\n"
    "                           [--bulk ADDR:PORT] [--config FILE] [--KEY VALUE]...\n"
    "\n"
    "Schedules pipelines onto agents. With --data DIR alone it makes its keys and an\n"
    "administrator's access key under DIR, and serves on loopback.\n"
    "\n"
    "  --config FILE  YAML with any of the keys below; flags win over it\n"
    "  --keys         list every key with its default and meaning\n"
    "  --version      print the version\n"
    "\n"
    "example: penstock-controller --data /var/lib/penstock\n";

static int fail_usage(const char *message)
{
    fprintf(stderr, "penstock-controller: %s\nsee penstock-controller --help\n", message);
    return EXIT_USAGE;
}

static int show_keys(void)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_config_manual(pen_controller_keys, &text);
    fputs(pen_buf_text(&text), stdout);
    return EXIT_SUCCESS;
}

/* One long option for each key of the configuration, then our own. */
static void list_options(struct option *ret_options)
{
    size_t count = 0;
    for (; pen_controller_keys[count].name != NULL; count++)
        ret_options[count] =
            (struct option){pen_controller_keys[count].name, required_argument, NULL, OPTION_KEYS};
    ret_options[count++] = (struct option){"config", required_argument, NULL, 'c'};
    ret_options[count++] = (struct option){"help", no_argument, NULL, 'h'};
    ret_options[count++] = (struct option){"keys", no_argument, NULL, OPTION_SHOW_KEYS};
    ret_options[count++] = (struct option){"version", no_argument, NULL, 'V'};
    ret_options[count] = (struct option){0};
}

/* The file first, wherever it stands on the command line; flags win. */
static int read_options(int argc, char **argv, struct pen_config *config, int *ret_status,
                        struct pen_error *err)
{
    enum { OPTIONS_MAX = 64 };
    struct option options[OPTIONS_MAX];
    list_options(options);
    for (int pass = 0; pass < 2; pass++) {
        optind = 1;
        int index = 0;
        int option;
        while ((option = getopt_long(argc, argv, "h", options, &index)) != -1) {
            int rc = 0;
            if (option == 'c' && pass == 0)
                rc = pen_config_load(config, optarg, err);
            else if (option == OPTION_KEYS && pass == 1)
                rc = pen_config_set(config, options[index].name, optarg, "command line", err);
            else if (option == 'h')
                return fputs(usage, stdout), *ret_status = EXIT_SUCCESS, 1;
            else if (option == 'V')
                return puts("penstock-controller " PEN_VERSION), *ret_status = EXIT_SUCCESS, 1;
            else if (option == OPTION_SHOW_KEYS)
                return *ret_status = show_keys(), 1;
            else if (option == '?')
                return *ret_status = EXIT_USAGE, 1;
            if (rc < 0)
                return rc;
        }
    }
    if (optind < argc)
        return pen_fail(err, PEN_EINVAL, "'%s' is not an option", argv[optind]);
    return 0;
}

/* SIGTERM and SIGINT become readable on a descriptor; blocked before any thread exists. */
static int make_stop_fd(int *ret_fd, struct pen_error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGPIPE);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return pen_fail(err, PEN_EIO, "cannot block signals");
    sigdelset(&set, SIGPIPE);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        return pen_fail_errno(err, "signalfd");
    *ret_fd = fd;
    return 0;
}

static int run(const struct pen_controller_settings *settings, struct pen_error *err)
{
    umask(0077);
    PEN_CLEANUP(pen_fd_close) int stop_fd = -1;
    int rc = make_stop_fd(&stop_fd, err);
    return rc < 0 ? rc : pen_controller_run(settings, stop_fd, err);
}

int main(int argc, char **argv)
{
    pen_proc_begin();
    pen_log_init("penstock-controller", PEN_LOG_INFO);
    struct pen_error err = {0};
    PEN_CLEANUP(pen_config_destroy) struct pen_config *config = NULL;
    int status = EXIT_FAILED;
    int rc = pen_config_create(pen_controller_keys, &config, &err);
    if (rc == 0 && (rc = read_options(argc, argv, config, &status, &err)) > 0)
        return status;
    struct pen_controller_settings settings;
    if (rc == 0)
        rc = pen_settings_from_config(config, &settings, &err);
    if (rc < 0)
        return fail_usage(err.message);
    if (run(&settings, &err) < 0) {
        pen_log(PEN_LOG_ERROR, "cannot go on", "code=%s reason=%s", pen_code_name(err.code),
                err.message);
        return EXIT_FAILED;
    }
    pen_log(PEN_LOG_INFO, "ended", NULL);
    return EXIT_SUCCESS;
}
