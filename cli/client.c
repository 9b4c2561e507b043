#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "cli/text.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/base/units.h"
#include "common/io/clock.h"
#include "common/io/file.h"

enum {
    CONNECT_TIMEOUT_MS = 10000,
    ANSWER_TIMEOUT_MS = 30000, /* besides what the operation was asked to wait */
    TRIES_MAX = 3,
};

struct pen_client {
    const struct pen_settings *settings;
    CURLM *multi;
    int signal_fd; /* -1: signals are not caught */
    bool interrupted;
};

struct pen_call {
    struct pen_client *client;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    const char *operation; /* a literal of the caller */
    struct pen_buf answer;
    bool too_large;
    int64_t date_ms;
    bool done;
    CURLcode result;
    char problem[CURL_ERROR_SIZE];
};

int pen_client_create(const struct pen_settings *settings, struct pen_client **ret_client,
                      struct pen_error *err)
{
    PEN_CLEANUP(pen_client_destroy) struct pen_client *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the client");
    self->signal_fd = -1;
    self->settings = settings;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        self->multi = curl_multi_init();
    if (self->multi == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the client");
    *ret_client = TAKE_PTR(self);
    return 0;
}

void pen_client_destroy(struct pen_client **self_p)
{
    struct pen_client *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    (void)curl_multi_cleanup(self->multi);
    curl_global_cleanup();
    pen_fd_close(&self->signal_fd);
    free(self);
}

int pen_client_catch_signals(struct pen_client *self, struct pen_error *err)
{
    if (self->signal_fd >= 0)
        return 0;
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    self->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (self->signal_fd < 0)
        return pen_fail_errno(err, "cannot catch signals");
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return pen_fail_errno(err, "cannot catch signals");
    return 0;
}

bool pen_client_interrupted(const struct pen_client *self)
{
    return self->interrupted;
}

static int interrupted(struct pen_client *self, struct pen_error *err)
{
    self->interrupted = true;
    return pen_fail(err, PEN_EUNAVAILABLE, "interrupted");
}

/* ---- one call */

static size_t take_answer(char *bytes, size_t size, size_t count, void *user)
{
    struct pen_call *self = user;
    size_t total = size * count;
    if (total > PEN_LIMIT_HTTP_ANSWER_BYTES - self->answer.size) {
        self->too_large = true;
        return 0;
    }
    pen_buf_append(&self->answer, bytes, total);
    return self->answer.failed ? 0 : total;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *user)
{
    struct pen_call *self = user;
    char text[64] = "";
    static const char name[] = "Date: ";
    size_t total = size * count;
    if (total > sizeof name && total < sizeof text && strncasecmp(bytes, name, 6) == 0) {
        memcpy(text, bytes + 6, total - 6);
        text[strcspn(text, "\r\n")] = 0;
        (void)pen_time_parse_http(text, &self->date_ms, NULL);
    }
    return total;
}

static bool header_add(struct pen_call *self, const char *name, const char *value)
{
    PEN_CLEANUP(pen_free) char *line = pen_strdup_printf("%s: %s", name, value);
    struct curl_slist *longer = line == NULL ? NULL : curl_slist_append(self->headers, line);
    if (longer == NULL)
        return false;
    self->headers = longer;
    return true;
}

/* A proxy of the environment has no way to our own loopback. */
static bool is_loopback(const char *endpoint)
{
    const char *host = strstr(endpoint, "://") + 3;
    return pen_str_starts_with(host, "127.") || pen_str_starts_with(host, "localhost") ||
           pen_str_starts_with(host, "[::1]");
}

static int call_new(struct pen_client *self, const char *operation, const char *path,
                    struct pen_call **ret_call, struct pen_error *err)
{
    PEN_CLEANUP(pen_call_destroy) struct pen_call *call = calloc(1, sizeof *call);
    PEN_CLEANUP(pen_free) char *url = pen_strdup_printf("%s%s", self->settings->endpoint, path);
    if (call != NULL) {
        call->client = self;
        call->operation = operation;
        call->easy = curl_easy_init();
    }
    if (call == NULL || call->easy == NULL || url == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a request");
    CURL *easy = call->easy;
    if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "penstock/" PEN_VERSION) != CURLE_OK ||
        (is_loopback(self->settings->endpoint) &&
         curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK))
        return pen_fail(err, PEN_ENOMEM, "no memory for a request");
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->problem);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ANSWER_TIMEOUT_MS);
    *ret_call = TAKE_PTR(call);
    return 0;
}

void pen_call_destroy(struct pen_call **self_p)
{
    struct pen_call *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    if (self->easy != NULL) {
        (void)curl_multi_remove_handle(self->client->multi, self->easy);
        curl_easy_cleanup(self->easy);
    }
    curl_slist_free_all(self->headers);
    free(self->body);
    pen_buf_release(&self->answer);
    free(self);
}

static int call_sign(struct pen_call *call, enum pen_service service, struct pen_error *err)
{
    const struct pen_settings *settings = call->client->settings;
    if (settings->access_key == NULL)
        return pen_fail(
            err, PEN_EDENIED,
            "no credentials: %s; set PENSTOCK_CREDENTIALS to the admin.credentials file in "
            "the controller's data folder, or copy its profile into ~/.aws/credentials",
            settings->credentials_missing);
    bool aws = service == PEN_SERVICE_CODEPIPELINE;
    const char *name = aws ? "codepipeline" : "penstock";
    PEN_CLEANUP(pen_free)
    char *target = pen_strdup_printf("%s.%s", aws ? "CodePipeline_20150709" : "Penstock_20261101",
                                     call->operation);
    PEN_CLEANUP(pen_free) char *scope = pen_strdup_printf("aws:amz:%s:%s", settings->region, name);
    if (target == NULL || scope == NULL ||
        !header_add(call, "Content-Type", "application/x-amz-json-1.1") ||
        !header_add(call, "X-Amz-Target", target) ||
        (settings->session_token != NULL &&
         !header_add(call, "X-Amz-Security-Token", settings->session_token)) ||
        curl_easy_setopt(call->easy, CURLOPT_AWS_SIGV4, scope) != CURLE_OK ||
        curl_easy_setopt(call->easy, CURLOPT_USERNAME, settings->access_key) != CURLE_OK ||
        curl_easy_setopt(call->easy, CURLOPT_PASSWORD, settings->secret_key) != CURLE_OK)
        return pen_fail(err, PEN_ENOMEM, "no memory for a request");
    return 0;
}

int pen_call_start(struct pen_client *self, enum pen_service service, const char *operation,
                   const json_t *input, int wait_s, struct pen_call **ret_call,
                   struct pen_error *err)
{
    PEN_CLEANUP(pen_call_destroy) struct pen_call *call = NULL;
    int rc = call_new(self, operation, "/", &call, err);
    if (rc == 0)
        rc = call_sign(call, service, err);
    if (rc < 0)
        return rc;
    call->body = json_dumps(input, JSON_COMPACT);
    if (call->body == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a request");
    size_t size = strlen(call->body);
    if (size > PEN_LIMIT_HTTP_BODY_BYTES)
        return pen_fail(err, PEN_ELIMIT, "the request has %zu bytes; at most %d are taken", size,
                        PEN_LIMIT_HTTP_BODY_BYTES);
    (void)curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->body);
    (void)curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    (void)curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    (void)curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS,
                           (long)ANSWER_TIMEOUT_MS + (long)wait_s * 1000);
    if (curl_multi_add_handle(self->multi, call->easy) != CURLM_OK)
        return pen_fail(err, PEN_ENOMEM, "no memory for a request");
    *ret_call = TAKE_PTR(call);
    return 0;
}

bool pen_call_is_done(const struct pen_call *self)
{
    return self->done;
}

/* ---- waiting */

/* Mark the calls that ended; true when there were any. */
static bool take_done(struct pen_client *self)
{
    bool any = false;
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(self->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        char *private_data = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private_data);
        struct pen_call *call = (void *)private_data;
        call->done = true;
        call->result = message->data.result;
        any = true;
    }
    return any;
}

int pen_client_wait(struct pen_client *self, int timeout_ms, struct pen_error *err)
{
    int64_t deadline_ms = pen_clock_monotonic_ms() + timeout_ms;
    for (;;) {
        int running = 0;
        if (curl_multi_perform(self->multi, &running) != CURLM_OK)
            return pen_fail(err, PEN_EIO, "the HTTP client failed");
        if (take_done(self) || running == 0)
            return 0;
        int64_t left_ms = deadline_ms - pen_clock_monotonic_ms();
        if (left_ms <= 0)
            return 0;
        struct curl_waitfd signals = {.fd = self->signal_fd, .events = CURL_WAIT_POLLIN};
        unsigned extra = self->signal_fd >= 0 ? 1 : 0;
        if (curl_multi_poll(self->multi, &signals, extra, (int)left_ms, NULL) != CURLM_OK)
            return pen_fail(err, PEN_EIO, "the HTTP client failed");
        if (extra > 0 && signals.revents != 0)
            return interrupted(self, err);
    }
}

int pen_client_sleep(struct pen_client *self, int timeout_ms, struct pen_error *err)
{
    struct pollfd watch = {.fd = self->signal_fd, .events = POLLIN};
    if (poll(&watch, 1, timeout_ms) > 0)
        return interrupted(self, err);
    return 0;
}

/* ---- the answer */

static int fail_transport(const struct pen_call *call, const char *hint, struct pen_error *err)
{
    const char *endpoint = call->client->settings->endpoint;
    const char *problem = call->problem[0] != 0 ? call->problem : curl_easy_strerror(call->result);
    if (call->too_large)
        return pen_fail(err, PEN_ELIMIT, "%s: the answer is larger than %d bytes", call->operation,
                        PEN_LIMIT_HTTP_ANSWER_BYTES);
    if (call->result == CURLE_OPERATION_TIMEDOUT)
        return pen_fail(err, PEN_EUNAVAILABLE, "%s: no answer from %s in time: %s", call->operation,
                        endpoint, problem);
    return pen_fail(err, PEN_EUNAVAILABLE,
                    "cannot reach the controller at %s (endpoint from %s): %s%s", endpoint,
                    call->client->settings->endpoint_origin, problem, hint);
}

static int code_of(const char *name, long status)
{
    static const char *const denied[] = {
        "AccessDenied",          "UnrecognizedClient",  "InvalidSignature",
        "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthentication",
        "InvalidClientTokenId",  "ExpiredToken",        "NotAuthorized",
        "OptInRequired",
    };
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) {
        if (pen_str_starts_with(name, denied[i]))
            return PEN_EDENIED;
    }
    if (strstr(name, "NotFound") != NULL || strstr(name, "DoesNotExist") != NULL)
        return PEN_ENOTFOUND;
    if (pen_str_starts_with(name, "Throttling") ||
        pen_str_starts_with(name, "ServiceUnavailable") || status >= 500)
        return PEN_EUNAVAILABLE;
    if (strstr(name, "Conflict") != NULL || strstr(name, "AlreadyCompleted") != NULL ||
        strstr(name, "Exists") != NULL || strstr(name, "NameInUse") != NULL ||
        strstr(name, "ConcurrentModification") != NULL)
        return PEN_ECONFLICT;
    if (status == 401 || status == 403)
        return PEN_EDENIED;
    return PEN_EINVAL;
}

static int fail_service(const struct pen_call *call, const json_t *answer, long status,
                        struct pen_error *err)
{
    const char *name = pen_json_text(answer, "__type");
    const char *hash = strrchr(name, '#'); /* a name may come with its namespace */
    name = hash == NULL ? name : hash + 1;
    const char *message = pen_json_text(answer, "message");
    if (message[0] == 0)
        message = pen_json_text(answer, "Message");
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (name[0] == 0)
        pen_buf_printf(&text, "%s: HTTP status %ld from %s; is that a Penstock controller?",
                       call->operation, status, call->client->settings->endpoint);
    pen_text_clean(name, &text);
    pen_buf_puts(&text, message[0] == 0 || name[0] == 0 ? "" : ": ");
    pen_text_clean(message, &text);
    return pen_fail(err, code_of(name, status), "%s", pen_buf_text(&text));
}

int pen_call_finish(struct pen_call **self_p, json_t **ret_output, struct pen_error *err)
{
    PEN_CLEANUP(pen_call_destroy) struct pen_call *call = TAKE_PTR(*self_p);
    CHECK(call->done);
    if (call->result != CURLE_OK)
        return fail_transport(call, "; 'penstock doctor' looks closer", err);
    long status = 0;
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    json_error_t problem;
    json_t *answer = call->answer.size == 0
                         ? json_object()
                         : json_loadb(pen_buf_text(&call->answer), call->answer.size,
                                      JSON_REJECT_DUPLICATES, &problem);
    int rc = 0;
    if (status != 200)
        rc = fail_service(call, answer, status, err);
    else if (!json_is_object(answer))
        rc = pen_fail(err, PEN_EUNAVAILABLE,
                      "%s: the answer is not a JSON object; is %s a Penstock controller?",
                      call->operation, call->client->settings->endpoint);
    if (rc == 0)
        *ret_output = TAKE_PTR(answer);
    json_decref(answer);
    return rc;
}

int pen_client_call(struct pen_client *self, enum pen_service service, const char *operation,
                    const json_t *input, json_t **ret_output, struct pen_error *err)
{
    struct pen_error own = {0}; /* the retry looks at the code, whatever the caller gave */
    int rc = 0;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        PEN_CLEANUP(pen_call_destroy) struct pen_call *call = NULL;
        if (tries > 0 && (rc = pen_client_sleep(self, 200 << tries, &own)) < 0)
            break;
        rc = pen_call_start(self, service, operation, input, 0, &call, &own);
        while (rc == 0 && !call->done)
            rc = pen_client_wait(self, ANSWER_TIMEOUT_MS, &own);
        if (rc < 0)
            break;
        long status = 0; /* 0: no answer came */
        (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        rc = pen_call_finish(&call, ret_output, &own);
        /* Again only what the service itself refused for now: then nothing is done twice. */
        if (rc != PEN_EUNAVAILABLE || (status != 503 && status != 400 && status != 429))
            break;
    }
    if (rc < 0)
        pen_fail(err, rc, "%s", own.message);
    return rc;
}

int pen_client_probe(struct pen_client *self, const char *path, long *ret_status,
                     int64_t *ret_date_ms, struct pen_error *err)
{
    PEN_CLEANUP(pen_call_destroy) struct pen_call *call = NULL;
    int rc = call_new(self, path, path, &call, err);
    if (rc < 0)
        return rc;
    call->result = curl_easy_perform(call->easy);
    if (call->result != CURLE_OK)
        return fail_transport(call, "", err);
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, ret_status);
    *ret_date_ms = call->date_ms;
    return 0;
}
