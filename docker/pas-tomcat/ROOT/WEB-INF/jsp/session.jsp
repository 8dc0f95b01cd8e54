<%@ include file="common.jspf" %>
<%
    HttpSession s = request.getSession(true);
    Long hits = (Long) s.getAttribute("hits");
    hits = hits == null ? 1 : hits + 1;
    s.setAttribute("hits", hits);
    response.setContentType("application/json");
    out.print("{\"session\": " + quote(s.getId()) + ", \"new\": " + s.isNew() + ", \"hits\": "
        + hits + instance(calls));
%>
