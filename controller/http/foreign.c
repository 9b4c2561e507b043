/* Clients of services that are not here, whose answers are XML: told so in their own protocol.
 *
 * Their default address is one setting for all services, so that they come here by mistake. They
 * cannot read an error in JSON, and would try again. A service is known by the credential scope of
 * the signature, which nobody has verified: nothing but this answer follows from it.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/str.h"
#include "controller/http/door.h"

enum { SERVICE_BYTES = 33 };

static const char *const query_services[] = {"autoscaling",
                                             "cloudformation",
                                             "cloudsearch",
                                             "ec2",
                                             "elasticache",
                                             "elasticbeanstalk",
                                             "elasticloadbalancing",
                                             "iam",
                                             "monitoring",
                                             "rds",
                                             "redshift",
                                             "sdb",
                                             "ses",
                                             "sns",
                                             "sqs",
                                             "sts"};
static const char *const rest_xml_services[] = {"cloudfront", "route53", "s3", "s3-object-lambda"};

static bool is_one_of(const char *service, const char *const *services, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(service, services[i]) == 0)
            return true;
    return false;
}

/* The service of a scope KEY/DATE/REGION/SERVICE/aws4_request, or "" where there is none. `slash`
 * is how the parts are divided: "/", or "%2F" in a query. */
static void service_of(const char *text, const char *slash, char ret_service[SERVICE_BYTES])
{
    ret_service[0] = '\0';
    for (int part = 0; part < 3; part++) {
        const char *next = strstr(text, slash);
        if (next == NULL)
            return;
        text = next + strlen(slash);
    }
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (size == 0 || size >= SERVICE_BYTES || strncmp(text + size, slash, strlen(slash)) != 0)
        return;
    memcpy(ret_service, text, size);
    ret_service[size] = '\0';
}

static void find_service(const struct exchange *self, const struct pen_http_head *head,
                         char ret_service[SERVICE_BYTES])
{
    const char *signed_by = pen_http_head_get(head, "authorization");
    const char *scope = signed_by == NULL ? NULL : strstr(signed_by, "Credential=");
    ret_service[0] = '\0';
    if (scope != NULL) {
        service_of(scope, "/", ret_service);
        return;
    }
    scope = strstr(self->target, "X-Amz-Credential=");
    if (scope != NULL)
        service_of(scope, strstr(scope, "%2F") != NULL ? "%2F" : "/", ret_service);
}

bool http_foreign(struct exchange *self, const struct pen_http_head *head)
{
    char service[SERVICE_BYTES];
    find_service(self, head, service);
    const char *type = pen_http_head_get(head, "content-type");
    bool form = type != NULL && pen_str_starts_with(type, "application/x-www-form-urlencoded") &&
                strcmp(self->method, "POST") == 0 &&
                pen_http_head_get(head, "x-amz-target") == NULL &&
                !pen_str_starts_with(self->target, "/hooks/");
    bool rest = is_one_of(service, rest_xml_services,
                          sizeof rest_xml_services / sizeof rest_xml_services[0]);
    bool query =
        is_one_of(service, query_services, sizeof query_services / sizeof query_services[0]) ||
        (form && service[0] == '\0');
    if (!rest && !query)
        return false;
    char message[200];
    (void)snprintf(message, sizeof message,
                   "There is no service '%s' at this address: it serves codepipeline, and "
                   "Penstock's own operations.",
                   service[0] == '\0' ? "of the Query protocol" : service);
    exchange_answer_xml(self, rest, message);
    return true;
}
