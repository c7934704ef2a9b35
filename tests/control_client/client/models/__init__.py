""" Contains all the data models used in inputs/outputs """

from .apply_request import ApplyRequest
from .blame_request import BlameRequest
from .check_request import CheckRequest
from .cluster_request import ClusterRequest
from .copy_task import CopyTask
from .cut_place import CutPlace
from .cut_point import CutPoint
from .cut_point_gaps import CutPointGaps
from .deeds_query import DeedsQuery
from .deeds_view import DeedsView
from .deeds_view_deeds_item import DeedsViewDeedsItem
from .delivery_state import DeliveryState
from .diff_request import DiffRequest
from .drill_request import DrillRequest
from .drills_request import DrillsRequest
from .expire_request import ExpireRequest
from .failover_request import FailoverRequest
from .fault import Fault
from .forget_renamed_request import ForgetRenamedRequest
from .held_cut import HeldCut
from .hold_create_request import HoldCreateRequest
from .hold_remove_request import HoldRemoveRequest
from .holds_query import HoldsQuery
from .holds_report import HoldsReport
from .holds_view import HoldsView
from .holds_view_looked_at import HoldsViewLookedAt
from .ingest_task import IngestTask
from .job_state import JobState
from .job_view import JobView
from .job_view_document_type_0 import JobViewDocumentType0
from .job_view_request import JobViewRequest
from .jobs_query import JobsQuery
from .jobs_view import JobsView
from .known_gap import KnownGap
from .known_point import KnownPoint
from .listed_cut import ListedCut
from .listed_cut_gaps import ListedCutGaps
from .listed_hold import ListedHold
from .lock_request import LockRequest
from .log_request import LogRequest
from .metadata_update_request import MetadataUpdateRequest
from .no_parameters import NoParameters
from .not_seen import NotSeen
from .notification_view import NotificationView
from .notifications_query import NotificationsQuery
from .notifications_request import NotificationsRequest
from .notifications_view import NotificationsView
from .pause_request import PauseRequest
from .plan_view import PlanView
from .plan_view_document import PlanViewDocument
from .plan_view_request import PlanViewRequest
from .point_create_request import PointCreateRequest
from .point_remove_request import PointRemoveRequest
from .points_query import PointsQuery
from .points_report import PointsReport
from .points_request import PointsRequest
from .points_rotate_request import PointsRotateRequest
from .points_view import PointsView
from .points_view_looked_at import PointsViewLookedAt
from .principal_view import PrincipalView
from .problem_document import ProblemDocument
from .progress_view import ProgressView
from .promote_request import PromoteRequest
from .proof_level import ProofLevel
from .repair_request import RepairRequest
from .resend_request import ResendRequest
from .restore_beside_request import RestoreBesideRequest
from .restore_request import RestoreRequest
from .resume_request import ResumeRequest
from .role import Role
from .rollback_request import RollbackRequest
from .run_plan_request import RunPlanRequest
from .schedule_view import ScheduleView
from .schedule_view_last_type_0 import ScheduleViewLastType0
from .schedules_view import SchedulesView
from .status_request import StatusRequest
from .status_view import StatusView
from .status_view_result import StatusViewResult
from .submit_query import SubmitQuery
from .target_create_request import TargetCreateRequest
from .target_points import TargetPoints
from .target_view import TargetView
from .target_view_failure_type_0 import TargetViewFailureType0
from .target_view_seen_type_0 import TargetViewSeenType0
from .targets_view import TargetsView
from .task_state import TaskState
from .task_state_status import TaskStateStatus
from .task_state_statuscode import TaskStateStatuscode
from .task_status_view import TaskStatusView
from .task_view import TaskView
from .text_view import TextView
from .undelete_request import UndeleteRequest
from .verify_request import VerifyRequest
from .wait_query import WaitQuery
from .watch_request import WatchRequest
from .window_span import WindowSpan
from .witness_says import WitnessSays

__all__ = (
    "ApplyRequest",
    "BlameRequest",
    "CheckRequest",
    "ClusterRequest",
    "CopyTask",
    "CutPlace",
    "CutPoint",
    "CutPointGaps",
    "DeedsQuery",
    "DeedsView",
    "DeedsViewDeedsItem",
    "DeliveryState",
    "DiffRequest",
    "DrillRequest",
    "DrillsRequest",
    "ExpireRequest",
    "FailoverRequest",
    "Fault",
    "ForgetRenamedRequest",
    "HeldCut",
    "HoldCreateRequest",
    "HoldRemoveRequest",
    "HoldsQuery",
    "HoldsReport",
    "HoldsView",
    "HoldsViewLookedAt",
    "IngestTask",
    "JobsQuery",
    "JobState",
    "JobsView",
    "JobView",
    "JobViewDocumentType0",
    "JobViewRequest",
    "KnownGap",
    "KnownPoint",
    "ListedCut",
    "ListedCutGaps",
    "ListedHold",
    "LockRequest",
    "LogRequest",
    "MetadataUpdateRequest",
    "NoParameters",
    "NotificationsQuery",
    "NotificationsRequest",
    "NotificationsView",
    "NotificationView",
    "NotSeen",
    "PauseRequest",
    "PlanView",
    "PlanViewDocument",
    "PlanViewRequest",
    "PointCreateRequest",
    "PointRemoveRequest",
    "PointsQuery",
    "PointsReport",
    "PointsRequest",
    "PointsRotateRequest",
    "PointsView",
    "PointsViewLookedAt",
    "PrincipalView",
    "ProblemDocument",
    "ProgressView",
    "PromoteRequest",
    "ProofLevel",
    "RepairRequest",
    "ResendRequest",
    "RestoreBesideRequest",
    "RestoreRequest",
    "ResumeRequest",
    "Role",
    "RollbackRequest",
    "RunPlanRequest",
    "SchedulesView",
    "ScheduleView",
    "ScheduleViewLastType0",
    "StatusRequest",
    "StatusView",
    "StatusViewResult",
    "SubmitQuery",
    "TargetCreateRequest",
    "TargetPoints",
    "TargetsView",
    "TargetView",
    "TargetViewFailureType0",
    "TargetViewSeenType0",
    "TaskState",
    "TaskStateStatus",
    "TaskStateStatuscode",
    "TaskStatusView",
    "TaskView",
    "TextView",
    "UndeleteRequest",
    "VerifyRequest",
    "WaitQuery",
    "WatchRequest",
    "WindowSpan",
    "WitnessSays",
)
