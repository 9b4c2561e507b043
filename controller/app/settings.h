/* controller/app/settings.h - every key of the controller's configuration: one table */
#ifndef PEN_CONTROLLER_APP_SETTINGS_H
#define PEN_CONTROLLER_APP_SETTINGS_H

#include "common/base/error.h"
#include "common/config/config.h"
#include "controller/app/controller.h"

/* For pen_config_create. */
extern const struct pen_config_key pen_controller_keys[];

/* The settings in force; texts are borrowed from config. Errors: PEN_EINVAL (no data folder, times
 * that contradict each other). */
int pen_settings_from_config(const struct pen_config *config,
                             struct pen_controller_settings *ret_settings, struct pen_error *err);

#endif
