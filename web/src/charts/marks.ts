/** Alarms as marks on a chart. Pure. */
import type { Alarm, AlarmEvent, Priority } from "../lib/types.ts";
import { nsToMs } from "../lib/time.ts";

export interface ChartMark {
  id: string;
  alarmId: string;
  pointId: string;
  timeMs: number;
  priority: Priority;
  name: string;
}

export function marksOf(alarms: readonly Alarm[]): ChartMark[] {
  return alarms.flatMap((a) =>
    a.point_id === null ? [] : [{ id: a.id, alarmId: a.id, pointId: a.point_id, timeMs: nsToMs(a.raised_ns), priority: a.priority, name: a.name }],
  );
}

/** A line of the journal: what it is about stands beside its data. */
export type JournalEvent = AlarmEvent & { alarm_id?: string; point_id?: string; priority?: number };

export function priorityOf(event: JournalEvent): Priority | null {
  const p = event.priority;
  return p === 1 || p === 2 || p === 3 || p === 4 ? p : null;
}

/** Raises out of the journal. An event that does not say what it is about is left out. */
export function marksOfJournal(events: readonly JournalEvent[]): ChartMark[] {
  return events.flatMap((e) => {
    const priority = priorityOf(e);
    if (e.type !== "alarm.raised" || !e.point_id || priority === null) return [];
    return [{ id: `e${e.id}`, alarmId: e.alarm_id ?? "", pointId: e.point_id, timeMs: nsToMs(e.time_ns), priority, name: String(e.data["name"] ?? "") }];
  });
}

/** Both sources in one list: the same raise is drawn once. */
export function mergeMarks(...lists: readonly (readonly ChartMark[])[]): ChartMark[] {
  const seen = new Map<string, ChartMark>();
  for (const mark of lists.flat()) {
    const key = `${mark.pointId}|${mark.priority}|${Math.round(mark.timeMs / 1000)}`;
    if (!seen.has(key)) seen.set(key, mark);
  }
  return [...seen.values()].sort((a, b) => a.timeMs - b.timeMs);
}
