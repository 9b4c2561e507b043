/* controller/engine/collect.h - collections: what is not needed any more
 *
 *     StartCollection --> CollectionStarted --> [CollectionRun] retention looks
 *                                                    |
 *            .--- RemoveHistory, one batch at a time <---- [HistoryAnswer] which go
 *            v                                       ^
 *     HistoryRemoved --> [HistoryPurge] the core deletes, a few rows for each commit
 *                              |                     |
 *                         HistoryGone --> HistoryPurged --> [HistoryAnswer] they are gone
 *     SweepMirrors --> [MirrorsSweep] sources, MirrorsSwept --> [MirrorsSwept] retention
 *     CollectionDone --> CollectionEnded, AgentRemoved
 *
 * Effects are in brackets. After a restart a collection that was under way begins anew, and
 * removals that were decided are purged: both are live rows. A dry run ends at the first answer.
 */
#ifndef PEN_CONTROLLER_ENGINE_COLLECT_H
#define PEN_CONTROLLER_ENGINE_COLLECT_H

#include "controller/engine/decide.h"

/* Take out of `offered` (id -> Pen__RemovalCandidate) what has to be kept. pipeline: that they ran
 * by, or one of the same name; NULL: there is none any more. */
void keep_needed(const struct pen_engine *engine, const struct pipeline *pipeline,
                 struct pen_map *offered);

/* The effects of collections and removals under way. */
void plan_collections(struct pen_engine *engine);

#endif
