/* penstock-agent: options, enrolment, signals, exit status. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "agent/app/app.h"
#include "agent/app/identity.h"
#include "agent/app/options.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"
#include "common/io/proc.h"
#include "common/log/log.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int open_signals(struct pen_error *err)
{
    sigset_t wanted;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGINT);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &wanted, NULL) < 0)
        return pen_fail_errno(err, "cannot block signals");
    int fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? pen_fail_errno(err, "no descriptor for signals") : fd;
}

static int serve(const struct pen_agent_options *options, struct pen_error *err)
{
    struct pen_identity identity;
    PEN_CLEANUP(pen_app_close) struct pen_app *app = NULL;
    PEN_CLEANUP(pen_fd_close) int signals = open_signals(err);
    if (signals < 0)
        return signals;
    int rc = pen_identity_open(options, &identity, err);
    if (rc == 0 && !identity.enrolled)
        rc = pen_identity_enroll(&identity, options, signals, err);
    if (rc == 0)
        rc = pen_app_open(options, &identity, &app, err);
    explicit_bzero(&identity, sizeof identity);
    return rc < 0 ? rc : pen_app_run(app, signals, err);
}

int main(int argc, char **argv)
{
    pen_proc_begin();
    struct pen_agent_options options;
    switch (pen_agent_options_read(argc, argv, &options)) {
    case PEN_OPTIONS_SHOWN:
        return EXIT_SUCCESS;
    case PEN_OPTIONS_WRONG:
        pen_agent_options_release(&options);
        return EXIT_USAGE;
    case PEN_OPTIONS_RUN:
        break;
    }
    pen_log_init("penstock-agent", options.verbose ? PEN_LOG_DEBUG : PEN_LOG_INFO);
    struct pen_error err = {0};
    int rc = serve(&options, &err);
    pen_agent_options_release(&options);
    if (rc >= 0)
        return rc;
    pen_log(PEN_LOG_ERROR, "stopped", "why=%s", err.message);
    return rc == PEN_EINVAL ? EXIT_USAGE : EXIT_FAILED;
}
