/* controller/services/penstock/penstock.h - Penstock's own operations, in the same protocol
 *
 * Target prefix Penstock_20261101, signing name penstock; shapes in catalog.json beside this file.
 */
#ifndef PEN_CONTROLLER_SERVICES_PENSTOCK_PENSTOCK_H
#define PEN_CONTROLLER_SERVICES_PENSTOCK_PENSTOCK_H

#include "controller/services/call.h"

/* Made from catalog.json. */
extern const struct pen_api_catalog pen_penstock_catalog;

extern const struct pen_service pen_penstock;

/* What the sealed hook secret of a connection is bound to; its other secret: see post.h. */
#define PEN_CONNECTION_HOOK_SEAL_CONTEXT "connection hook secret"

/* agents.c */
pen_handler pen_create_agent_token;
pen_handler pen_list_agents;
pen_handler pen_drain_agent;
pen_handler pen_undrain_agent;
pen_handler pen_revoke_agent;
/* logs.c */
pen_handler pen_get_logs;
/* repositories.c */
pen_handler pen_create_repository;
pen_handler pen_list_deployment_windows;
pen_handler pen_list_repositories;
pen_handler pen_delete_repository;
/* connections.c */
pen_handler pen_create_connection;
pen_handler pen_list_connections;
pen_handler pen_delete_connection;
/* explain.c */
/* The reasons of an answer, as the list `reasons` of the output. */
void pen_put_reasons(struct pen_call *call, const Pen__Reply *reply);
pen_handler pen_explain;
pen_handler pen_resolve_action;
pen_handler pen_validate_pipeline;
/* stop.c */
pen_handler pen_kill_execution;
pen_handler pen_retry_beside_abandoned;
/* watch.c */
pen_handler pen_watch_execution;
/* collections.c */
pen_handler pen_start_collection;
pen_handler pen_get_collection;
/* health.c */
pen_handler pen_get_health;

#endif
