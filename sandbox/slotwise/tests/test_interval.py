import unittest
from datetime import datetime, timedelta

from slotwise import Interval, merge, subtract, total


def at(hour, minute=0):
    return datetime(2024, 3, 4, hour, minute)


def span(start, end):
    return Interval(at(start), at(end))


class IntervalTest(unittest.TestCase):
    def test_it_ends_after_it_starts(self):
        with self.assertRaises(ValueError):
            span(10, 10)
        with self.assertRaises(ValueError):
            span(11, 10)

    def test_the_end_does_not_belong_to_it(self):
        self.assertIn(at(9), span(9, 10))
        self.assertNotIn(at(10), span(9, 10))

    def test_touching_is_not_overlapping(self):
        self.assertFalse(span(9, 10).overlaps(span(10, 11)))
        self.assertTrue(span(9, 11).overlaps(span(10, 12)))

    def test_covers(self):
        self.assertTrue(span(9, 12).covers(span(9, 12)))
        self.assertFalse(span(9, 12).covers(span(11, 13)))

    def test_intersection_of_overlapping_ones(self):
        self.assertEqual(span(9, 11).intersection(span(10, 12)), span(10, 11))

    def test_intersection_with_one_inside(self):
        self.assertEqual(span(9, 17).intersection(span(12, 13)), span(12, 13))

    def test_no_intersection(self):
        self.assertIsNone(span(9, 10).intersection(span(10, 12)))

    def test_shifted(self):
        self.assertEqual(span(9, 10).shifted(timedelta(hours=2)), span(11, 12))

    def test_pieces_drop_what_is_left(self):
        self.assertEqual(span(9, 12).pieces(timedelta(hours=2)), [span(9, 11)])
        self.assertEqual(len(span(9, 12).pieces(timedelta(minutes=45))), 4)

    def test_pieces_need_a_length(self):
        with self.assertRaises(ValueError):
            span(9, 10).pieces(timedelta(0))


class MergeTest(unittest.TestCase):
    def test_overlapping_and_touching_are_joined(self):
        self.assertEqual(merge([span(12, 14), span(9, 10), span(10, 11), span(13, 15)]), [span(9, 11), span(12, 15)])

    def test_one_inside_another(self):
        self.assertEqual(merge([span(9, 17), span(10, 11)]), [span(9, 17)])

    def test_nothing(self):
        self.assertEqual(merge([]), [])

    def test_total_counts_shared_time_once(self):
        self.assertEqual(total([span(9, 11), span(10, 12)]), timedelta(hours=3))


class SubtractTest(unittest.TestCase):
    def test_a_hole_in_the_middle(self):
        self.assertEqual(subtract(span(9, 17), [span(12, 13)]), [span(9, 12), span(13, 17)])

    def test_at_the_edges(self):
        self.assertEqual(subtract(span(9, 17), [span(8, 10), span(16, 18)]), [span(10, 16)])

    def test_everything(self):
        self.assertEqual(subtract(span(9, 10), [span(8, 12)]), [])

    def test_nothing_taken(self):
        self.assertEqual(subtract(span(9, 10), [span(11, 12)]), [span(9, 10)])


if __name__ == "__main__":
    unittest.main()
