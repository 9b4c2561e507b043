/* URL templates of custom action types: what the check accepts can be expanded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "controller/model/action_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *look_up(const void *context, const char *name)
{
    (void)context;
    return strcmp(name, "Place") == 0 ? "mill" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1);
    CHECK(text != NULL);
    memcpy(text, data, size);
    char place[] = "Place";
    char category[] = "Build";
    Pen__ActionTypeId id = PEN__ACTION_TYPE_ID__INIT;
    id.category = category;
    Pen__ActionConfigurationProperty property = PEN__ACTION_CONFIGURATION_PROPERTY__INIT;
    property.name = place;
    property.required = true;
    Pen__ActionConfigurationProperty *properties[] = {&property};
    Pen__ArtifactDetails none = PEN__ARTIFACT_DETAILS__INIT;
    Pen__ActionTypeSettings settings = PEN__ACTION_TYPE_SETTINGS__INIT;
    settings.entity_url_template = text;
    Pen__ActionType type = PEN__ACTION_TYPE__INIT;
    type.id = &id;
    type.action_configuration_properties = properties;
    type.n_action_configuration_properties = 1;
    type.input_artifact_details = type.output_artifact_details = &none;
    type.settings = &settings;
    struct pen_error err = {0};
    int rc = pen_action_type_check(&type, &err);
    CHECK(rc == 0 || (rc == PEN_EINVAL && err.api_name != NULL && err.message[0] != '\0'));
    struct pen_buf url = {0};
    bool made = pen_action_type_url(text, look_up, NULL, "7", &url);
    CHECK(made || rc < 0);
    CHECK(!made || url.failed || strlen(pen_buf_text(&url)) == url.size);
    pen_buf_release(&url);
    free(text);
    return 0;
}
