"""The tables between wire and domain are whole."""

from capstan.jobs.v1 import jobs_pb2
from services.jobs import servicer
from services.jobs.files import Purpose


def test_every_purpose_but_the_unset_one_can_be_read() -> None:
    assert set(servicer.PURPOSES) == set(jobs_pb2.FilePurpose.values()) - {jobs_pb2.FILE_PURPOSE_UNSPECIFIED}
    assert set(servicer.PURPOSES.values()) == set(Purpose)


def test_every_order_can_be_read() -> None:
    assert set(servicer.ORDERS) == set(jobs_pb2.SortOrder.values())
