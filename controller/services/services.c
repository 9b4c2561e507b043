#include <string.h>

#include "controller/services/call.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/penstock/penstock.h"

static const struct pen_service *const services[] = {&pen_codepipeline, &pen_penstock};
enum { SERVICES = sizeof services / sizeof services[0] };

const struct pen_service *pen_service_find(const char *prefix, size_t prefix_size)
{
    for (size_t i = 0; i < SERVICES; i++) {
        const char *own = services[i]->catalog->target_prefix;
        if (strlen(own) == prefix_size && memcmp(own, prefix, prefix_size) == 0)
            return services[i];
    }
    return NULL;
}

const struct pen_operation *pen_operation_find(const struct pen_service *service, const char *name)
{
    for (size_t i = 0; i < service->operations_count; i++) {
        if (strcmp(service->operations[i].name, name) == 0)
            return &service->operations[i];
    }
    return NULL;
}

int pen_services_prepare(struct pen_error *err)
{
    for (size_t i = 0; i < SERVICES; i++) {
        int rc = pen_api_catalog_start(services[i]->catalog, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void pen_services_release(void)
{
    for (size_t i = 0; i < SERVICES; i++)
        pen_api_catalog_stop(services[i]->catalog);
}
