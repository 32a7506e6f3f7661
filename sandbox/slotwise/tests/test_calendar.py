import unittest
from datetime import date, datetime, time, timedelta

from slotwise import Calendar, Interval, Weekly, common_slots
from slotwise.calendar import first_slot

HOUR = timedelta(hours=1)


def at(hour, minute=0, day=4):
    return datetime(2024, 3, day, hour, minute)


def span(start, end, day=4):
    return Interval(at(start, day=day), at(end, day=day))


DAY = span(9, 17)


class CalendarTest(unittest.TestCase):
    def test_an_empty_calendar_is_free_all_day(self):
        self.assertEqual(Calendar("Anna").free(DAY), [DAY])

    def test_busy_times_are_joined_and_cut(self):
        anna = Calendar("Anna", [span(8, 10), span(12, 13), span(13, 14)])
        self.assertEqual(anna.busy(DAY), [span(9, 10), span(12, 14)])

    def test_free_between_meetings(self):
        anna = Calendar("Anna", [span(10, 11), span(15, 18)])
        self.assertEqual(anna.free(DAY), [span(9, 10), span(11, 15)])

    def test_short_gaps_are_left_out(self):
        anna = Calendar("Anna", [span(10, 11), span(14, 17)])
        self.assertEqual(anna.free(DAY, 2 * HOUR), [span(11, 14)])

    def test_buffer_around_meetings(self):
        anna = Calendar("Anna", [span(12, 13)], buffer=timedelta(minutes=30))
        self.assertEqual(anna.free(DAY), [Interval(at(9), at(11, 30)), Interval(at(13, 30), at(17))])

    def test_the_buffer_of_a_meeting_before_the_day_counts(self):
        anna = Calendar("Anna", [span(8, 9)], buffer=timedelta(minutes=15))
        self.assertEqual(anna.free(DAY), [Interval(at(9, 15), at(17))])

    def test_load(self):
        anna = Calendar("Anna", [span(9, 11), span(10, 12), span(16, 20)])
        self.assertAlmostEqual(anna.load(DAY), 0.5)

    def test_add(self):
        anna = Calendar("Anna")
        anna.add(span(9, 16))
        self.assertEqual(anna.free(DAY), [span(16, 17)])

    def test_calendars_do_not_share_events(self):
        Calendar("Anna").add(span(9, 10))
        self.assertEqual(Calendar("Ben").events, [])


class WeeklyTest(unittest.TestCase):
    def setUp(self):
        self.standup = Weekly(date(2024, 3, 4), frozenset({0, 2}), time(9), timedelta(minutes=15))

    def test_weekdays(self):
        days = [day for day in range(4, 18) if self.standup.falls_on(date(2024, 3, day))]
        self.assertEqual(days, [4, 6, 11, 13])

    def test_every_other_week_counts_from_the_first_week(self):
        rule = Weekly(date(2024, 3, 6), frozenset({0, 2}), time(9), HOUR, every=2)
        days = [day for day in range(1, 32) if rule.falls_on(date(2024, 3, day))]
        self.assertEqual(days, [6, 18, 20])

    def test_the_last_day_counts_and_skipped_days_do_not(self):
        rule = Weekly(
            date(2024, 3, 4), frozenset({0}), time(9), HOUR, until=date(2024, 3, 18), skipped=frozenset({date(2024, 3, 11)})
        )
        days = [day for day in range(1, 32) if rule.falls_on(date(2024, 3, day))]
        self.assertEqual(days, [4, 18])

    def test_occurrences_make_busy_times(self):
        anna = Calendar("Anna", weekly=[self.standup])
        self.assertEqual(anna.free(DAY), [Interval(at(9, 15), at(17))])
        self.assertEqual(anna.free(span(9, 17, day=5)), [span(9, 17, day=5)])

    def test_over_midnight(self):
        night = Weekly(date(2024, 3, 4), frozenset({0}), time(22), 12 * HOUR)
        self.assertEqual(list(night.within(span(9, 17, day=5))), [Interval(at(22), at(10, day=5))])

    def test_bad_rules(self):
        with self.assertRaises(ValueError):
            Weekly(date(2024, 3, 4), frozenset(), time(9), HOUR)
        with self.assertRaises(ValueError):
            Weekly(date(2024, 3, 4), frozenset({7}), time(9), HOUR)
        with self.assertRaises(ValueError):
            Weekly(date(2024, 3, 4), frozenset({0}), time(9), HOUR, every=0)


class CommonSlotsTest(unittest.TestCase):
    def test_two_people(self):
        anna = Calendar("Anna", [span(9, 11)])
        ben = Calendar("Ben", [span(13, 15)])
        self.assertEqual(common_slots([anna, ben], DAY, HOUR), [span(11, 13), span(15, 17)])

    def test_nobody_to_ask(self):
        self.assertEqual(common_slots([], DAY, HOUR), [DAY])

    def test_first_slot_of_several_days(self):
        anna = Calendar("Anna", [DAY, span(9, 10, day=5)])
        self.assertEqual(first_slot([anna], [span(9, 17, day=5), DAY], HOUR), span(10, 11, day=5))

    def test_no_slot(self):
        self.assertIsNone(first_slot([Calendar("Anna", [DAY])], [DAY], HOUR))


if __name__ == "__main__":
    unittest.main()
